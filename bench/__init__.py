"""What governing costs: the service against bare servers that do less, measured in the same run."""
