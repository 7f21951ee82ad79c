"""Dead: dead letters, and their redrive."""
