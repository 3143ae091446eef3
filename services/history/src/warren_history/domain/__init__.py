"""What history decides, without I/O: what is stored, what a read returns, which way a namespace goes."""
