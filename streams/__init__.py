"""What flows: codecs, topics, tables, the Faust application and its batched stream."""
