"""Receipt: what the network reports of a message that was sent."""
