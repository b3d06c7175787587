"""The technologies: one folder each, every class a technology and a port."""
