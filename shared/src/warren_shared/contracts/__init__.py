"""What crosses the wire: channel names, codes, namespace options and the messages between services."""
