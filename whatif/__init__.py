"""What a draft of the configuration would have done to recorded traffic (`docs/what-if.md` tells the method)."""
