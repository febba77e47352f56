"""What a person or a script sees of the engine: options in, bars, lines, JSON and exit codes out."""
