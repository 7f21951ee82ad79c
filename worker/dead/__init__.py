"""Dead: letters that will not be sent, and their way back."""
