"""Certificates: bounds with the calls that made them, of one layer pair and of a whole profile."""
