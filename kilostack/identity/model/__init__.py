"""Records of identity and what can be decided about them without looking anything up."""
