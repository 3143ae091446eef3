"""The client protocol in Protobuf: its messages, and the way from and to them."""
