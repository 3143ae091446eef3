"""What presence does with the deliveries of its partitions."""
