"""How fast vqaudio is beside what people use otherwise, and beside what the processor can do: see README.md here."""
