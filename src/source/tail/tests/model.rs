//! Random changes of a file against a model of what was written.
//!
//! A generation is a content that only grows. Held after every sequence: what was handed on in one piece is the
//! beginning of one generation, byte for byte, and of another one than the piece before; all complete lines that the
//! reader could have seen are in it, those of a renamed file included.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::source::identity::HEAD_BYTES_MAX;
use crate::source::tail::{Change, Cursor, Polled, Tail, TailPool};

const N_SEQUENCES: u64 = 2000;
const N_CHANGES: u64 = 30;
const FIRST_SEED: u64 = 20_261_123;

/// `SplitMix64` (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, n: u64) -> usize {
        (self.bits() % n) as usize
    }
}

/// A file of the model: number of its generation, and of the file itself, which an inode number is not.
#[derive(Clone, Copy, PartialEq)]
struct ModelFile {
    generation: usize,
    number: usize,
}

struct World {
    random: Random,
    path: PathBuf,
    header: String,
    /// Contents by generation.
    generations: Vec<Vec<u8>>,
    at_path: Option<ModelFile>,
    /// Renamed files by path, in the order of renaming.
    renamed: BTreeMap<PathBuf, ModelFile>,
    /// The file that the reader follows, as far as the model can tell.
    followed: Option<ModelFile>,
    /// Nothing stood at the path when the reader looked last.
    was_gone: bool,
    /// Bytes by generation that must have been handed on.
    must_read: Vec<usize>,
    n_files: usize,
    n_lines: usize,
    history: Vec<String>,
}

/// What the reader got.
struct Reader {
    tail: Tail,
    pool: TailPool,
    /// Bytes by generation, as the tail tells them.
    pieces: Vec<Vec<u8>>,
    saved: Option<(String, usize)>,
    is_gone: bool,
}

fn complete(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

impl World {
    fn new(seed: u64, dir: &Path) -> Self {
        let mut random = Random(seed);
        let header = match random.below(4) {
            0 => String::new(),
            1 => "step,loss\n".to_owned(),
            // Beyond what is hashed of the start: only the bytes before the offset tell generations apart.
            2 => format!("arguments {}\n", "option=value ".repeat(400)),
            _ => format!("step,loss,{}\n", "column,".repeat(20)),
        };
        Self {
            random,
            path: dir.join("log"),
            header,
            generations: Vec::new(),
            at_path: None,
            renamed: BTreeMap::new(),
            followed: None,
            was_gone: false,
            must_read: Vec::new(),
            n_files: 0,
            n_lines: 0,
            history: Vec::new(),
        }
    }

    /// Lines that no other call gives; the last may lack its end.
    fn text(&mut self) -> Vec<u8> {
        let mut text = String::new();
        for _ in 0..=self.random.below(4) {
            self.n_lines += 1;
            let padding = match self.random.below(12) {
                0 => 800,
                1..4 => 40,
                _ => self.random.below(9),
            };
            // The end of one long line must not look like that of another.
            let number = format!("{},", self.n_lines);
            text.push_str(&number);
            text.push_str(&number.repeat(padding));
            text.push('\n');
        }
        let partial = self.random.below(3) == 0;
        text.truncate(text.len() - usize::from(partial) * (1 + self.random.below(3)).min(text.len()));
        text.into_bytes()
    }

    fn new_content(&mut self) -> Vec<u8> {
        let mut content = self.header.clone().into_bytes();
        if self.random.below(4) > 0 {
            content.extend(self.text());
        }
        content
    }

    fn start_generation(&mut self, content: Vec<u8>) -> usize {
        self.generations.push(content);
        self.must_read.push(0);
        self.generations.len() - 1
    }

    fn new_file(&mut self, generation: usize) -> ModelFile {
        self.n_files += 1;
        ModelFile {
            generation,
            number: self.n_files,
        }
    }

    /// One random change of the file system.
    fn change(&mut self) {
        match self.at_path {
            None => self.come_back(),
            Some(file) => self.change_present(file),
        }
    }

    fn note(&mut self, what: &str) {
        self.history.push(what.to_owned());
    }

    fn come_back(&mut self) {
        let last = self
            .renamed
            .iter()
            .next_back()
            .map(|(path, file)| (path.clone(), *file));
        let newest = self.generations.len().wrapping_sub(1);
        match (self.random.below(4), last) {
            (0, Some((path, file))) if file.generation == newest => {
                self.note("rename back");
                fs::rename(&path, &self.path).unwrap();
                self.renamed.remove(&path);
                self.at_path = Some(file);
            }
            _ => {
                self.note("create");
                self.create();
            }
        }
    }

    fn create(&mut self) {
        let content = if self.random.below(3) == 0 {
            Vec::new()
        } else {
            self.new_content()
        };
        fs::write(&self.path, &content).unwrap();
        let generation = self.start_generation(content);
        self.at_path = Some(self.new_file(generation));
    }

    fn change_present(&mut self, file: ModelFile) {
        match self.random.below(16) {
            0..6 => self.append(file),
            6 => self.append_to_renamed(),
            7 => {
                self.note("rename away");
                self.rename_away(file);
            }
            8 | 9 => {
                self.note("rotate");
                self.rename_away(file);
                self.create();
            }
            10 => {
                self.note("delete");
                fs::remove_file(&self.path).unwrap();
                self.at_path = None;
            }
            11 => {
                self.note("delete and create");
                fs::remove_file(&self.path).unwrap();
                self.create();
            }
            12 => self.truncate(file),
            13 => self.overwrite(file),
            14 => self.replace_by_same(file),
            _ => self.replace_by_other(),
        }
    }

    fn append(&mut self, file: ModelFile) {
        self.note("append");
        let mut text = self.text();
        if self.generations[file.generation].is_empty() {
            text.splice(0..0, self.header.bytes());
        }
        append(&self.path, &text);
        self.generations[file.generation].extend(text);
    }

    fn append_to_renamed(&mut self) {
        let n = self.renamed.len();
        if n == 0 {
            return;
        }
        self.note("append to renamed");
        let nth = self.random.below(n as u64);
        let (path, file) = self
            .renamed
            .iter()
            .nth(nth)
            .map(|(path, file)| (path.clone(), *file))
            .unwrap();
        let text = self.text();
        append(&path, &text);
        self.generations[file.generation].extend(text);
    }

    fn rename_away(&mut self, file: ModelFile) {
        let old = self.path.with_extension(format!("{:06}", self.n_files));
        fs::rename(&self.path, &old).unwrap();
        self.renamed.insert(old, file);
        self.at_path = None;
        // Old ones are deleted, which frees inodes for new files.
        if self.renamed.len() > 3 {
            let (oldest, _) = self.renamed.pop_first().unwrap();
            fs::remove_file(oldest).unwrap();
        }
    }

    /// Truncates, to nothing or to a part, and fills to less, the same size or more.
    fn truncate(&mut self, file: ModelFile) {
        let old = self.generations[file.generation].clone();
        let open = OpenOptions::new().write(true).open(&self.path).unwrap();
        let mut content = Vec::new();
        match self.random.below(5) {
            0 => self.note("truncate"),
            1 => {
                self.note("truncate to half");
                content = old.get(..old.len() / 2).unwrap().to_vec();
            }
            2 => {
                self.note("copytruncate, refill");
                fs::copy(&self.path, self.path.with_extension("copy")).unwrap();
                content = self.new_content();
            }
            3 => {
                self.note("truncate, refill equal");
                content = self.new_content();
                while content.len() < old.len() {
                    content.extend(self.text());
                }
                content.truncate(old.len());
            }
            _ => {
                self.note("truncate, refill larger");
                content = self.new_content();
                while content.len() <= old.len() {
                    content.extend(self.text());
                }
            }
        }
        open.set_len(0).unwrap();
        open.write_all_at(&content, 0).unwrap();
        self.change_content(file, content);
    }

    /// The same file, another content.
    fn change_content(&mut self, file: ModelFile, content: Vec<u8>) {
        let generation = self.start_generation(content);
        let changed = ModelFile { generation, ..file };
        self.at_path = Some(changed);
        if self.followed == Some(file) {
            self.followed = None;
        }
    }

    /// A new job writes from byte 0 over the old log.
    fn overwrite(&mut self, file: ModelFile) {
        self.note("overwrite in place");
        let mut content = self.new_content();
        // Behind a long header that is the same, an overwrite shows when it reaches the old end.
        let is_shown = self.header.len() < HEAD_BYTES_MAX;
        while !is_shown && content.len() <= self.generations[file.generation].len() {
            content.extend(self.text());
        }
        let open = OpenOptions::new().write(true).open(&self.path).unwrap();
        open.write_all_at(&content, 0).unwrap();
        let old = &self.generations[file.generation];
        content.extend(old.get(content.len()..).unwrap_or_default());
        if content != *old {
            self.change_content(file, content);
        }
    }

    fn put(&mut self, content: &[u8], generation: usize) {
        let beside = self.path.with_extension("part");
        if self.random.below(2) == 0 {
            fs::write(&beside, content).unwrap();
            fs::rename(beside, &self.path).unwrap();
        } else {
            fs::remove_file(&self.path).unwrap();
            fs::write(&self.path, content).unwrap();
        }
        self.at_path = Some(self.new_file(generation));
    }

    fn replace_by_same(&mut self, file: ModelFile) {
        self.note("replace by same and more");
        let text = self.text();
        self.generations[file.generation].extend(text);
        let content = self.generations[file.generation].clone();
        self.put(&content, file.generation);
    }

    fn replace_by_other(&mut self) {
        self.note("replace by other");
        let content = self.new_content();
        let generation = self.start_generation(content.clone());
        self.put(&content, generation);
    }

    /// What the reader must have handed on after a look to the end.
    fn looked(&mut self) {
        let is_alive =
            |it: &ModelFile| self.at_path == Some(*it) || self.renamed.values().any(|file| file == it);
        // A file that has left its path is not looked for again before another one stands there.
        let may_be_out_of_sight = self.was_gone && self.at_path.is_none();
        if let Some(file) = self.followed.filter(is_alive).filter(|_| !may_be_out_of_sight) {
            self.must_read[file.generation] = complete(&self.generations[file.generation]);
        }
        let has_content = |it: &ModelFile| !self.generations[it.generation].is_empty();
        if let Some(file) = self.at_path.filter(has_content) {
            self.followed = Some(file);
            self.must_read[file.generation] = complete(&self.generations[file.generation]);
        }
        self.was_gone = self.at_path.is_none();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.history);
        }
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

impl Reader {
    fn new(random: &mut Random, path: &Path) -> Self {
        let held_max = random.below(2) * 4;
        let block_bytes = [61, 700, 256 * 1024][random.below(3)];
        let poll_bytes_max = [1000, 1 << 20][random.below(2)];
        Self {
            tail: Tail::new(path),
            pool: TailPool::with_sizes(held_max, block_bytes, poll_bytes_max),
            pieces: vec![Vec::new()],
            saved: None,
            is_gone: false,
        }
    }

    fn poll(&mut self) -> Polled {
        let (pieces, is_gone) = (&mut self.pieces, &mut self.is_gone);
        self.tail.poll(&mut self.pool, &mut |change| match change {
            Change::Bytes { offset, bytes } => {
                let piece = pieces.last_mut().unwrap();
                assert_eq!(offset, piece.len() as u64, "not where the last block ended");
                piece.extend_from_slice(bytes);
            }
            Change::Rewritten { read_bytes, .. } => {
                assert_eq!(read_bytes, pieces.last().unwrap().len() as u64);
                pieces.push(Vec::new());
            }
            Change::Continued => assert!(!pieces.last().unwrap().is_empty()),
            Change::Gone => assert!(!std::mem::replace(is_gone, true), "gone twice"),
            Change::Back => assert!(std::mem::replace(is_gone, false), "back without being gone"),
            Change::Failed(problem) => panic!("{problem}"),
        })
    }

    fn look(&mut self, world: &mut World) {
        world.note("look");
        while self.poll() == Polled::More {}
        world.looked();
        assert_eq!(self.is_gone, world.at_path.is_none());
        self.save();
    }

    /// Saves a cursor at the start of the unfinished line or, where that cannot be verified, at the offset.
    fn save(&mut self) {
        let piece = self.pieces.last().unwrap();
        let at_line = self.tail.cursor_at(complete(piece) as u64);
        let cursor = at_line.or_else(|| self.tail.cursor_at(self.tail.offset()));
        let n_bytes = |it: &Cursor| usize::try_from(it.fingerprint.offset).unwrap();
        self.saved = cursor.map(|it| (serde_json::to_string(&it).unwrap(), n_bytes(&it)));
    }

    fn restart(&mut self, world: &mut World) {
        let Some((saved, n_bytes)) = &self.saved else {
            return;
        };
        world.note("restart");
        self.tail = Tail::resume(serde_json::from_str(saved).unwrap());
        self.pieces.last_mut().unwrap().truncate(*n_bytes);
        self.is_gone = false;
    }
}

fn check(world: &World, reader: &Reader) {
    let mut next = 0;
    for piece in reader.pieces.iter().filter(|it| !it.is_empty()) {
        let mut rest = world.generations.iter().enumerate().skip(next);
        let found = rest.find(|(_, content)| content.starts_with(piece));
        let shown = String::from_utf8_lossy(piece);
        next = 1 + found.unwrap_or_else(|| panic!("glued or repeated: {shown:?}")).0;
    }
    for (content, n) in world.generations.iter().zip(&world.must_read) {
        let wanted = &content[..*n];
        let is_read = reader.pieces.iter().any(|it| it.starts_with(wanted));
        let end = wanted.get(n.saturating_sub(60)..).map(String::from_utf8_lossy);
        assert!(is_read, "lost of {n} bytes: {end:?}");
    }
}

fn run(seed: u64, dir: &Path) {
    let mut world = World::new(seed, dir);
    let mut reader = Reader::new(&mut world.random, &world.path);
    for _ in 0..N_CHANGES {
        match world.random.below(9) {
            0..2 => reader.look(&mut world),
            2 => {
                world.note("poll once");
                if reader.poll() == Polled::More {
                    world.followed = None;
                } else {
                    world.looked();
                }
                reader.save();
            }
            3 => reader.restart(&mut world),
            _ => world.change(),
        }
    }
    reader.look(&mut world);
    check(&world, &reader);
}

#[test]
fn random_changes_lose_repeat_and_glue_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for seed in FIRST_SEED..FIRST_SEED + N_SEQUENCES {
        let dir = dir.path().join(seed.to_string());
        fs::create_dir(&dir).unwrap();
        File::create(dir.join("other")).unwrap();
        let ran = std::panic::catch_unwind(|| run(seed, &dir));
        ran.unwrap_or_else(|panic| {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic)
        });
        fs::remove_dir_all(dir).unwrap();
    }
}
