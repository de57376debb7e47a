"""What an image is, and which change is legal in which state."""
