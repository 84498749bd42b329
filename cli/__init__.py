"""The command line, `loanrouter`."""
