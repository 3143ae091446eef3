"""The console's HTTP side: the page, its configuration, development tokens and the OTLP receiver."""
