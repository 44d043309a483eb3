"""The parts of the book's builder: from the pages in book/ to the notebooks in lessons/ and solutions/."""
