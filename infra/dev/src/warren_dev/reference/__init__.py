"""The generated part of the documentation: tables that are read from the code and checked for drift."""
