"""What compute needs from others."""
