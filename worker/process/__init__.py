"""Process: what one worker process is made of: its settings, its metrics, its start and its end."""
