"""Large immutable contents of the image service: files of one machine, or memory for simulations."""
