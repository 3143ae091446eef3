"""What auth does with the requests it is sent."""
