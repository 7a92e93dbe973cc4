//! Which files of a directory count.

use std::fs::{create_dir, create_dir_all, rename, write};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn list(dir: &Path) -> Listing {
    Tree::open(dir).expect("a directory").list().expect("a listing")
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.files.keys().map(String::as_str).collect()
}

fn make_pipe(path: &Path) {
    mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a named pipe");
}

#[test]
fn a_mounted_config_map_is_read_through_its_links_and_after_it_was_swung() {
    let dir = dir();
    let at = |path: &str| dir.path().join(path);
    for (version, text) in [("..2024_1", "one"), ("..2024_2", "two")] {
        create_dir_all(at(version).join("sub")).expect("a file system");
        write(at(version).join("a.yaml"), text).expect("a file system");
        write(at(version).join("sub/b.yaml"), text).expect("a file system");
    }
    symlink("..2024_1", at("..data")).expect("a file system");
    symlink("..data/a.yaml", at("a.yaml")).expect("a file system");
    symlink("..data/sub", at("sub")).expect("a file system");
    let read = |wanted: &str| {
        let tree = Tree::open(dir.path()).expect("a file system");
        let listing = tree.list().expect("a file system");
        assert_eq!(names(&listing), ["a.yaml", "sub/b.yaml"], "{listing:?}");
        assert!(listing.ignored.is_empty(), "{listing:?}");
        for file in listing.files.values() {
            assert_eq!(tree.read(file).expect("a file system"), wanted.as_bytes());
        }
    };
    read("one");
    symlink("..2024_2", at("..data_tmp")).expect("a file system");
    rename(at("..data_tmp"), at("..data")).expect("a file system");
    read("two");
}

#[test]
fn links_count_where_they_stay_inside_whatever_way_they_are_written() {
    let (dir, other) = (dir(), dir());
    let at = |path: &str| dir.path().join(path);
    create_dir(at("real")).expect("a file system");
    write(at("real/a.yaml"), "").expect("a file system");
    write(other.path().join("x.yaml"), "").expect("a file system");
    symlink(at("real/a.yaml"), at("absolute.yaml")).expect("a file system");
    symlink("real/../real/a.yaml", at("winding.yaml")).expect("a file system");
    symlink(other.path(), at("elsewhere")).expect("a file system");
    symlink(other.path().join("x.yaml"), at("outside.yaml")).expect("a file system");
    symlink("real", at("again")).expect("a file system");
    symlink(".", at("round")).expect("a file system");
    // One that leaves and comes back ends inside.
    symlink(dir.path(), other.path().join("back")).expect("a file system");
    symlink(other.path().join("back/real/a.yaml"), at("back.yaml")).expect("a file system");
    let listing = list(dir.path());
    assert_eq!(names(&listing), ["absolute.yaml", "back.yaml", "real/a.yaml", "winding.yaml"]);
    let ignored: Vec<_> = listing.ignored.iter().map(|(path, why)| (path.as_str(), why.as_str())).collect();
    let expected =
        [("again", "already"), ("elsewhere", "out of"), ("outside.yaml", "out of"), ("round", "already")];
    assert_eq!(ignored.len(), expected.len(), "{ignored:?}");
    for ((path, why), (expected, words)) in ignored.into_iter().zip(expected) {
        assert!(path == expected && why.contains(words), "{path}: {why}");
    }
}

#[test]
fn the_directory_itself_may_be_a_link() {
    let (dir, other) = (dir(), dir());
    write(dir.path().join("a.yaml"), "x").expect("a file system");
    symlink(dir.path(), other.path().join("current")).expect("a file system");
    assert_eq!(names(&list(&other.path().join("current"))), ["a.yaml"]);
}

#[test]
fn a_link_that_takes_a_listed_files_place_is_not_followed() {
    let dir = dir();
    let path = dir.path().join("a.yaml");
    let below = dir.path().join("below");
    create_dir(&below).expect("a file system");
    write(&path, "x").expect("a file system");
    write(below.join("b.yaml"), "x").expect("a file system");
    let tree = Tree::open(dir.path()).expect("a file system");
    let listing = tree.list().expect("a file system");
    std::fs::remove_file(&path).expect("a file system");
    symlink("/etc/passwd", &path).expect("a file system");
    rename(&below, dir.path().join("gone")).expect("a file system");
    symlink("/etc", &below).expect("a file system");
    for (name, file) in &listing.files {
        assert!(matches!(tree.read(file), Err(Unread::Failed(_))), "{name}");
    }
    std::fs::remove_file(&path).expect("a file system");
    make_pipe(&path);
    let refused = tree.read(&listing.files["a.yaml"]).unwrap_err().to_string();
    assert!(refused.contains("a named pipe"), "{refused}");
}

#[test]
fn a_named_file_is_read_through_links_and_pipes_and_never_without_an_end() {
    let dir = dir();
    let at = |path: &str| dir.path().join(path);
    write(at("a.yaml"), "text").expect("a file system");
    symlink(at("a.yaml"), at("link.yaml")).expect("a file system");
    assert_eq!(read_named(&at("link.yaml")).expect("a file system"), b"text");
    make_pipe(&at("pipe.yaml"));
    assert_eq!(read_named(&at("pipe.yaml")).expect("a file system"), b"", "nobody writes");
    let writer =
        std::fs::File::options().read(true).write(true).open(at("pipe.yaml")).expect("a file system");
    let shown = std::thread::spawn({
        let path = at("pipe.yaml");
        move || read_named(&path)
    });
    std::io::Write::write_all(&mut &writer, b"piped").expect("a file system");
    // The reader may not have opened it yet; what was written stays in the pipe as long as somebody has it open.
    while rustix::io::ioctl_fionread(&writer).expect("a file system") > 0 {
        std::thread::yield_now();
    }
    drop(writer);
    assert_eq!(shown.join().expect("a file system").expect("a file system"), b"piped");
    for endless in ["/dev/zero", "/dev/tty", "/"] {
        assert!(matches!(read_named(Path::new(endless)), Err(Unread::Failed(_))), "{endless}");
    }
}

#[test]
fn too_many_files_are_refused_as_a_whole() {
    let dir = dir();
    for no in 0..=FILES_MAX {
        write(dir.path().join(format!("{no}.yaml")), "").expect("a file system");
    }
    let refused = Tree::open(dir.path()).expect("a file system").list().unwrap_err().to_string();
    assert!(refused.contains("more than 20000 DAG files"), "{refused}");
}
