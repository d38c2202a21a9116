"""Acts of an operator, from the terminal and from the page: prepared from what is stored, then written."""
