"""Answers to the questions that other systems ask: inputs of an audience in, one document out."""
