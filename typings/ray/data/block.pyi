class BlockMetadata:
    def __init__(
        self, num_rows: int | None, size_bytes: int | None, exec_stats: None, input_files: None
    ) -> None: ...
