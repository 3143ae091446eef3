"""What history does with what arrives: publications, reads, and time passing."""
