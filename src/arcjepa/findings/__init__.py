"""What can be wrong with a run: one module per theme, each a few rules that read a record and return a finding."""
