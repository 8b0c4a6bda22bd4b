"""The theorems of the paper, as printed and sharpened, each a function that returns a certificate."""
