"""What fine-tuning needs beside the model."""
