//! Debian packages as data: versions, relations, indexes, archives, dpkg's database.
