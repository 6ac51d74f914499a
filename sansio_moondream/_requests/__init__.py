"""What is asked: requests, the endpoint, images."""
