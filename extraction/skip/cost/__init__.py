"""What a plan costs: predicted from shapes, fitted to the clock, and measured."""
