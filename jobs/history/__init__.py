"""What became of a root's corpora: their states, what is to stay away from them, and who was trained on what."""
