"""Measuring how well and how fast faces are recognised, with the product's own parts and rules."""
