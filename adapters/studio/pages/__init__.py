"""The pages, one file each; every one of them opens with the shell."""
