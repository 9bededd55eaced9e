"""The review page: people see the evidence of each match and say yes or no, in a browser, with or without
scripts."""
