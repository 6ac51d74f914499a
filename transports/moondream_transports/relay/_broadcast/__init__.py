"""One exchange for any number of readers, and such broadcasts by their ids."""
