"""Reply: replies of recipients, and the STOP and START words."""
