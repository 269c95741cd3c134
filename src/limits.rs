//! Every bound of the program, unit last in its name. A queue, table, line or wait without a bound from here is a defect.

/// Largest frame that is decoded, in bytes. A larger one is rejected as `too_large` without being looked at.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// Deepest nesting of objects and arrays in a frame, in levels; deeper ones are rejected as `too_deep`.
pub const MAX_FRAME_DEPTH: usize = 1_024;
/// Decode buffers that grew past this for one huge frame are given back after it, in bytes.
pub const KEPT_SCRATCH_BYTES: usize = 1 << 20;

/// Steps for which brokers that did not answer are asked why, and the length of one, in milliseconds.
pub const REFUSAL_LOOK_STEPS: usize = 8;
/// See [`REFUSAL_LOOK_STEPS`].
pub const REFUSAL_STEP_MS: u64 = 400;
/// Longest wait for the answer of a port that is asked what it speaks, in milliseconds.
pub const REFUSAL_TOUCH_MS: u64 = 2_000;
/// Lines of the client library that are listened to meanwhile.
pub const REFUSAL_REASONS_MAX: usize = 100;

/// Largest file of options, of properties or of one secret, in bytes.
pub const CONFIG_FILE_MAX_BYTES: u64 = 1 << 20;

/// Smallest accepted event time, in unix seconds.
pub const MIN_EVENT_TIME_S: u32 = 1;
/// Greatest accepted event time, in unix seconds (7 February 2106). The value above it is kept free, so that
/// "one second later" never overflows.
pub const MAX_EVENT_TIME_S: u32 = u32::MAX - 1;
/// Event times at the start of a stream that must all look like one wrong unit before that is said, in frames.
pub const HINT_FRAMES: u32 = 100;
/// From when (2001) until when (2100) an event time is likely to be, in unix seconds.
pub const HINT_FROM_S: u32 = 978_307_200;
/// See [`HINT_FROM_S`].
pub const HINT_UNTIL_S: u32 = 4_102_444_800;

/// Least and greatest `--precision`: a sketch has `2^p` registers.
pub const PRECISION_MIN: u8 = 12;
/// See [`PRECISION_MIN`].
pub const PRECISION_MAX: u8 = 18;
/// The default `--precision`: 128 KiB a dense window, standard error 0.29 %.
pub const PRECISION_DEFAULT: u8 = 17;
/// Pages of registers in one sketch. A worker owns whole pages, so this also bounds the number of workers.
pub const PAGES: usize = 256;
/// Users a page, on the average over its share, up to which a share keeps one list instead of pages. A page's header
/// costs as much as three hashes, and a longer list costs more to keep in order.
pub const FEW_HASHES_PER_PAGE: usize = 2;
/// Closed windows of many users that a worker leaves unpacked although nobody visited them lately: late frames come to
/// the same few again, and packing costs a thousand times more than a visit.
pub const RESTING_WINDOWS: usize = 16;
/// Most worker threads (`--threads`).
pub const MAX_THREADS: usize = 64;

/// Sightings in one batch to a worker. 1,024 measured 25 ns a sighting, 4,096 measured 11 ns.
pub const BATCH_SIGHTINGS: usize = 4_096;
/// Cells of the trailing table that a worker looks at for a tick before it takes the next batch: with the slowest
/// instructions they take as long as recording a batch does.
pub const PASS_CELLS: usize = 65_536;
/// Batches and barriers under way to one worker.
pub const WORKER_QUEUE_MESSAGES: usize = 16;
/// Answers under way from all workers to the reporter.
pub const ANSWER_QUEUE_MESSAGES: usize = 2 * MAX_THREADS;
/// Barriers announced to the reporter whose answers are still under way.
pub const BARRIER_QUEUE_MESSAGES: usize = 64;
/// Calendar windows that one barrier may ask for. Each costs about 300 bytes an answering worker.
pub const WINDOWS_PER_BARRIER: usize = 2_048;
/// Event time between two rounds of closing and evicting windows while no tick is due, in seconds.
pub const HOUSEKEEPING_EVERY_S: u32 = 3_600;

/// Finals that wait to be saved, past which a checkpoint does not wait for its time.
pub const UNSAVED_FINALS_MAX: usize = 1_024;
/// Finals that may wait for the output topic. Past it the input is paused until the output takes them.
pub const UNPUBLISHED_FINALS_MAX: usize = 4_096;
/// Finals that an instance which stands by keeps of those that the one which publishes has come to: as many as that one can have
/// unpublished when it dies.
pub const STANDBY_FINALS_KEPT: usize = UNPUBLISHED_FINALS_MAX + WINDOWS_PER_BARRIER;
/// Deletions that it keeps. A window has two, and its own may be due before the other one has come to them.
pub const STANDBY_DELETIONS_KEPT: usize = 4 * STANDBY_FINALS_KEPT;
/// Partitions whose offsets a window's record lists, some 14 bytes each: of these records some 11,000 may wait at once. Of more
/// partitions a tick alone has them.
pub const PARTITIONS_PER_WINDOW_MAX: usize = 512;
/// Provisional records that may wait for the output topic. Past it the oldest is dropped, counted as coalesced.
pub const UNPUBLISHED_PROVISIONALS_MAX: usize = 4_096;
/// Records handed to the output client and not yet acknowledged.
pub const IN_FLIGHT_RECORDS_MAX: usize = 1_024;

/// How far back `--forget` begins at a start, in seconds of event time (a week): what an earlier run published may have
/// become due while none ran.
pub const FORGET_LOOK_BACK_S: i64 = 7 * 86_400;
/// Frames that were not counted, handed to their topic (`--quarantine-topic`, `--rejects-topic`) and not acknowledged.
/// Past it reading waits.
pub const ASIDE_IN_FLIGHT_FRAMES: u64 = 10_000;
/// Bytes of such frames; a single one may be larger.
pub const ASIDE_IN_FLIGHT_BYTES: u64 = 32 << 20;
/// How long such a topic must have had no room until the log says that reading waits for it.
pub const ASIDE_STUCK_MS: u64 = 5_000;
/// How long a checkpoint waits until such topics have what was handed to them, in milliseconds. Then it is saved all the same: copies
/// may be missing if the process is killed before they are there.
pub const ASIDE_KEEP_MS: u64 = 500;
/// Bytes of a file for frames that were not counted that may be in memory until they are written.
pub const ASIDE_BUFFER_BYTES: usize = 64 << 10;
/// The most that is written to such a file at once.
pub const ASIDE_WRITTEN_BYTES_MAX: u64 = (ASIDE_BUFFER_BYTES + MAX_FRAME_BYTES + 2) as u64;
/// Bytes of frames kept while they wait to be confirmed, for the case that they are quarantined. What does not fit is
/// counted all the same, but cannot be put aside.
pub const ASIDE_KEPT_BYTES: usize = 64 << 20;

/// Longest life of a transaction in which records are published, in milliseconds. The brokers end one that lasts longer,
/// and take its producer for gone.
pub const TRANSACTION_MAX_MS: u64 = 60_000;
/// Longest wait for an answer about a transaction before other things are looked at again, in milliseconds. Some calls of the
/// client library cannot be taken up again where they were left, so it is much longer than they take.
pub const TRANSACTION_STEP_MS: u64 = 400;
/// How long a client of the brokers may be without an answer until it is told again where to begin, in milliseconds; the pause
/// doubles each time.
pub const REVIVAL_AFTER_MS: u64 = 5_000;
/// The longest such pause, in milliseconds.
pub const REVIVAL_PAUSE_MAX_MS: u64 = 10_000;
/// How long a transaction may take to be ended until another producer takes its place, in milliseconds: the client library
/// can lose sight of the brokers' answer, and a transaction that stays open hides all records after it.
pub const TRANSACTION_END_MAX_MS: u64 = 30_000;
/// How often publishing begins anew, with another producer, before a record is delivered: then there is something that this
/// does not mend.
pub const PUBLISHING_TRIES_MAX: u32 = 60;
/// Epochs of earlier lives that a state's directory tells, so that ticks of a life that never saved anything are not taken for
/// another instance's.
pub const LIVES_KEPT: usize = 16;
/// Ticks that are read back to hear of other instances: those of other jobs may be among them.
pub const LISTEN_TAIL_TICKS: i64 = 128;
/// Longest wait for the brokers to say where these are before other things are looked at again, in milliseconds.
pub const LISTEN_STEP_MS: u64 = 400;
/// How long the right to publish may take to be granted until the log says that publishing waits for it, in milliseconds.
pub const CLAIM_SLOW_MS: u64 = 10_000;
/// Least and greatest `--takeover-after`, in milliseconds.
pub const TAKEOVER_MIN_MS: u64 = 100;
/// See [`TAKEOVER_MIN_MS`].
pub const TAKEOVER_MAX_MS: u64 = 86_400_000;
/// Shortest time without a tick after which another instance is taken for gone, unless it is given, in milliseconds.
pub const TAKEOVER_DEFAULT_MS: u64 = 15_000;
/// Ticks that must be missing for that.
pub const TAKEOVER_TICKS: u64 = 3;
/// By how much the clocks of two machines may differ before one takes the other's last tick for an old one, in
/// milliseconds.
pub const CLOCKS_APART_MAX_MS: u64 = 60_000;

/// For how long memory that is free is kept before the system gets it back, in milliseconds. What unpacks a fetched batch is in use
/// for some milliseconds, and no two batches are of one size: the longer it is kept, the more of it there is.
pub const PURGE_DELAY_MS: i64 = 100;
/// Longest time between two looks for acknowledgements, in milliseconds.
pub const DELIVERY_POLL_MS: u64 = 10;
/// The same where none is waited for.
pub const QUIET_POLL_MS: u64 = 50;
/// Shortest and longest `--every`, in milliseconds.
pub const TICK_MIN_MS: u64 = 100;
/// See [`TICK_MIN_MS`].
pub const TICK_MAX_MS: u64 = 3_600_000;
/// Greatest `--lateness`, in seconds (a year).
pub const LATENESS_MAX_S: u64 = 366 * 86_400;
/// Greatest retention of a period, in seconds (a century; event time itself ends in 2106).
pub const RETENTION_MAX_S: u64 = 36_600 * 86_400;

/// Frames of a partition that have a vote on what its present is: the last ones near it.
pub const CLOCK_VOTES: usize = 48;
/// Votes ahead of a partition's clock that move it on, however far, if five sixths of them agree.
pub const CLOCK_QUORUM: usize = 36;
/// Frames of a partition that establish its clock if five sixths of them agree. At [`CLOCK_VOTES`] frames the majority
/// decides.
pub const CLOCK_START: usize = 12;
/// Frames of a partition after which one that waits is refuted: a quorum can still gather where 19 frames of 20 are too far
/// behind to vote, and one wrong frame in 50 cannot, even where no other votes.
pub const HELD_FRAMES_MAX: u64 = 1_024;
/// Greatest `--max-jump`, in seconds (a century): with it every frame is believed at once.
pub const MAX_JUMP_MAX_S: u64 = 36_600 * 86_400;
/// Greatest `--max-lateness`, in seconds.
pub const MAX_LATENESS_MAX_S: u64 = MAX_EVENT_TIME_S as u64;

/// Time without a frame after which an unread partition is not waited for by those ahead of it, in milliseconds.
pub const STALLED_PARTITION_MS: u64 = 30_000;
/// Shortest and longest `--idle-timeout`, in milliseconds.
pub const IDLE_MIN_MS: u64 = 1_000;
/// See [`IDLE_MIN_MS`].
pub const IDLE_MAX_MS: u64 = 86_400_000;
/// Time between two rounds of the loop past which nobody has listened meanwhile, in milliseconds: silence counts anew.
pub const STANDSTILL_MS: u64 = 2_000;
/// Shortest and longest `--max-skew`, in seconds. The windows of so much time are open at once.
pub const SKEW_MIN_S: u64 = 60;
/// See [`SKEW_MIN_S`].
pub const SKEW_MAX_S: u64 = 366 * 86_400;

/// Time between two words to a supervisor while the service is not up yet, in milliseconds; the next one is promised within
/// three times as much.
pub const START_WORD_EVERY_MS: u64 = 10_000;
/// Time between two sentences to a supervisor that differ in their numbers alone, in milliseconds.
pub const STATUS_EVERY_MS: u64 = 10_000;
/// Shortest time between two sentences to a supervisor, in milliseconds.
pub const STATUS_SOONEST_MS: u64 = 1_000;

/// Longest wait for one frame before the loop looks at clock and signals again, in milliseconds.
pub const POLL_MAX_MS: u64 = 50;
/// Frames taken from the source between two looks at clock and signals.
pub const FRAMES_PER_ROUND: usize = 1_024;
/// Bytes of frames after which the loop looks again, before [`FRAMES_PER_ROUND`]: large frames take long to decode.
pub const BYTES_PER_ROUND: usize = 4 << 20;
/// Most consumers (`--consumers`), each with a client and a thread of its own.
pub const MAX_CONSUMERS: usize = 64;
/// Messages that are taken from the client library in one call.
pub const MESSAGES_PER_CALL: usize = 256;
/// Batches of decoded frames under way from one consumer's thread, of [`MESSAGES_PER_CALL`] each. Past it the consumer
/// waits, and its client stops fetching once its own queue is full.
pub const GATHERED_BATCHES: usize = 8;
/// Orders under way to one consumer's thread; past it whoever gives them waits until some are carried out.
pub const ERRANDS_AHEAD: usize = 1_024;
/// Time between two looks at what the client library has to say beside frames, in milliseconds.
pub const CONTROL_EVERY_MS: u64 = 50;
/// Frames without the end of a partition among them from which on a reader knows that there is a backlog. Then it looks for more
/// without sleeping.
pub const BACKLOG_FRAMES: usize = 2_048;
/// For how long it does so each time, in microseconds.
pub const AWAKE_US: u64 = 1_000;
/// Messages in one call from which on frames come in plenty: then the next ones are looked for after a nap.
pub const PLENTY_MESSAGES: usize = 64;
/// Length of such a nap, in microseconds, and how many follow one another before a reader waits to be woken.
pub const NAP_US: u64 = 50;
/// See [`NAP_US`].
pub const NAPS_MAX: usize = 8;
/// Longest wait for a consumer's last word when the input ends, in milliseconds.
pub const LAST_WORD_MS: u64 = 300;
/// Longest wait for one answer about metadata, watermarks or offsets, in milliseconds.
pub const SURVEY_TIMEOUT_MS: u64 = 5_000;
/// Shortest and longest time between two looks for partitions that were added and for the lag, in milliseconds; between
/// these it is that between two ticks.
pub const SURVEY_MIN_MS: u64 = 1_000;
/// See [`SURVEY_MIN_MS`].
pub const SURVEY_MAX_MS: u64 = 30_000;
/// One of so many surveys asks for the topics' ids too.
pub const SURVEYS_PER_TOPIC_ID: u64 = 8;
/// Longest wait for a topic's id, in milliseconds.
pub const TOPIC_ID_TIMEOUT_MS: u64 = 2_000;
/// After so many waits in vain one after the other nobody asks for ids any more: the brokers do not tell them.
pub const TOPIC_ID_TRIES_MAX: u32 = 3;
/// How long a partition that is shorter than it was read waits for its topic's id, in milliseconds: eight of the longest surveys.
pub const NAMELESS_MAX_MS: u64 = SURVEYS_PER_TOPIC_ID * SURVEY_MAX_MS;
/// How long before a tick the brokers are asked for the lag that it tells, in milliseconds.
pub const SURVEY_BEFORE_TICK_MS: u64 = 200;
/// Longest wait for what a topic without a tick looks like, in milliseconds.
pub const DIAGNOSE_TIMEOUT_MS: u64 = 2_000;
/// First and longest wait between two tries to reach the brokers, in milliseconds (doubled in between).
pub const BACKOFF_MIN_MS: u64 = 500;
/// See [`BACKOFF_MIN_MS`].
pub const BACKOFF_MAX_MS: u64 = 10_000;
/// With `--exit-at-end`: how long no progress at all is waited for before the run gives up, in milliseconds.
pub const UNREACHABLE_END_MS: u64 = 60_000;
/// Time a shutdown may take for draining, the last tick and its acknowledgement, in milliseconds. The promise is
/// 5 s; what is left goes into leaving the client library, which may hang.
pub const SHUTDOWN_MS: u64 = 3_000;
/// What is left of that time for the last tick, where the output has not taken everything before it by then, in milliseconds.
pub const LEAVE_MS: u64 = 700;
/// Time the client library gets to close before the process leaves without it, in milliseconds.
pub const CLOSE_MS: u64 = 800;
/// Signals that follow the first one within this time are the same one, in milliseconds.
pub const ONE_SIGNAL_MS: u64 = 200;
/// With a normal end (`--exit-at-end`): time in which the last records must be acknowledged, in milliseconds.
pub const LAST_FLUSH_MS: u64 = 30_000;

/// Log lines of one kind within [`LOG_WINDOW_MS`]; what is more is counted and said in one line afterwards.
pub const LOG_LINES_PER_WINDOW: u32 = 5;
/// See [`LOG_LINES_PER_WINDOW`], in milliseconds.
pub const LOG_WINDOW_MS: u64 = 10_000;

/// Ticks that a live view remembers for its sparks.
pub const VIEW_BEATS_MAX: usize = 1_024;
/// Happenings that a live view remembers.
pub const VIEW_NEWS_MAX: usize = 256;
/// Characters of a text from a topic that a live view shows.
pub const VIEW_TEXT_CHARS_MAX: usize = 256;
/// Reasons of rejections that a live view names; the others are counted.
pub const VIEW_REASONS_MAX: usize = 64;
/// Other jobs in the same topic that a live view names.
pub const VIEW_OTHERS_MAX: usize = 16;
/// Log lines that wait for a live view; the oldest give way.
pub const VIEW_LOG_LINES_MAX: usize = 256;
/// Ticks and window records that a live view reads back when it starts.
pub const VIEW_TAIL_RECORDS: i64 = 512;
/// Records that a live view takes between two drawings.
pub const VIEW_RECORDS_PER_STEP: usize = 64;
/// Longest time between two drawings of a live view, in milliseconds.
pub const VIEW_REDRAW_MS: u64 = 250;

/// Columns of a live view's picture.
pub const PICTURE_COLUMNS: u16 = 100;
/// Lines of a live view's picture.
pub const PICTURE_ROWS: u16 = 34;

/// Newest windows of a period that a table for people shows.
pub const TABLE_ROWS: usize = 24;
/// Time between two looks of the progress bar, in milliseconds.
pub const PROGRESS_EVERY_MS: u64 = 100;
/// Bytes read at once where lines are read one by one, or unpacked. Each input that is read has such a buffer or two, and there
/// may be a thousand.
pub const READ_BUFFER_BYTES: usize = 64 << 10;
/// Bytes of a chunk of lines that one thread reads and decodes: few enough to stay in a core's cache. Its last line may
/// be longer.
pub const CHUNK_BYTES: usize = 1 << 20;
/// The same where more than [`CHUNK_FILES`] files are read side by side.
pub const SMALL_CHUNK_BYTES: usize = 64 << 10;
/// Chunks of each of several files that are read before its turn comes. A packed one is begun anew then, and gives back its
/// decoder's memory until it is.
pub const CHUNKS_BEGUN: u64 = 2;
/// Bytes of text, at the most, that are passed over when a packed file is begun anew: a few milliseconds.
pub const UNPACK_AGAIN_BYTES: u64 = 4 << 20;
/// See [`SMALL_CHUNK_BYTES`].
pub const CHUNK_FILES: usize = 64;
/// Chunks that are read and decoded ahead of the one that is admitted, for each thread; of several files each has at
/// least one.
pub const CHUNKS_AHEAD_PER_THREAD: usize = 4;
/// Memory for a chunk that is kept for the next one, in bytes; more than that was for one long line, and is given back.
pub const KEPT_CHUNK_BYTES: usize = 2 << 20;
/// Modulo so many bytes a file's position and the address that it is read to agree: where they do not, the system's copy takes
/// three to four times as long on some processors.
pub const COPY_ALIGNMENT: usize = 64;
/// Bytes read behind a chunk at first, for the rest of its last line.
pub const LINE_END_BYTES: usize = 8 << 10;
/// Bytes that a pipe is asked to hold.
pub const PIPE_BYTES: usize = 1 << 20;
/// Files that one `count` reads side by side (each holds a descriptor and a chunk).
pub const MAX_FILES: usize = 1_024;

/// Bytes that one mock partition holds before it forgets its oldest records, and what the demo leaves unread in all of
/// them at the most. The mock cluster cannot replay what it forgot, so the demo must never reach the former.
pub const MOCK_PARTITION_BYTES: u64 = 5 << 20;
/// See [`MOCK_PARTITION_BYTES`].
pub const DEMO_UNREAD_BYTES: u64 = 4 << 20;

/// Partitions of the demo's topic.
pub const DEMO_PARTITIONS: usize = 4;
/// Most frames a second in the demo.
pub const DEMO_RATE_MAX: u32 = 5_000;
/// How many times the usual traffic a burst of the demo is.
pub const DEMO_BURST_FACTOR: u32 = 10;
/// How long a burst of the demo lasts, in milliseconds.
pub const DEMO_BURST_MS: u64 = 10_000;
/// Commands under way to the demo's producer.
pub const DEMO_COMMANDS: usize = 16;
/// Longest demo, in seconds.
pub const DEMO_MAX_S: u64 = 7 * 86_400;

/// Frames that `replay` has sent and that are neither acknowledged nor refused. Past it sending waits.
pub const REPLAY_IN_FLIGHT_FRAMES: usize = 100_000;
/// Bytes of such frames; a single one may be larger.
pub const REPLAY_IN_FLIGHT_BYTES: usize = 64 << 20;
/// Blocks of lines that `replay` reads ahead; a block has at most [`READ_BUFFER_BYTES`] and one line.
pub const REPLAY_BLOCKS_AHEAD: usize = 4;
/// Longest wait of `replay` before it looks for acknowledgements again, in milliseconds.
pub const REPLAY_NAP_MS: u64 = 5;
/// Lines that `replay` sends between two looks at acknowledgements and clock.
pub const REPLAY_LINES_PER_LOOK: u64 = 64;
/// Shortest and longest `--timeout` of `replay`, in milliseconds.
pub const REPLAY_TIMEOUT_MIN_MS: u64 = 1_000;
/// See [`REPLAY_TIMEOUT_MIN_MS`].
pub const REPLAY_TIMEOUT_MAX_MS: u64 = 86_400_000;
/// Longest wait for one answer about the topic before signals are looked at again, in milliseconds.
pub const REPLAY_LOOK_MS: u64 = 1_000;
/// How long it waits before it asks again, in milliseconds.
pub const REPLAY_LOOK_AGAIN_MS: u64 = 100;
/// Time without an acknowledgement after which `replay` says that it waits, in milliseconds.
pub const REPLAY_STALL_MS: u64 = 5_000;
/// Time that `replay` gives what is in flight when it is told to stop, in milliseconds.
pub const REPLAY_FLUSH_MS: u64 = 3_000;
/// Frames refused one after the other after which `replay` stops: the topic takes none of them.
pub const REPLAY_REFUSALS_IN_A_ROW: u64 = 1_000;
/// Refused frames that are named by their lines, in frames.
pub const REPLAY_REFUSALS_NAMED: usize = 5;
/// Time between two saves of the position, in milliseconds.
pub const REPLAY_SAVE_EVERY_MS: u64 = 1_000;
/// Largest file that is taken for a position, in bytes.
pub const POSITION_MAX_BYTES: u64 = 16 << 20;
/// Records of the topic that a resumed replay compares its next frames with, 32 bytes each.
pub const REPLAY_TAIL_RECORDS: usize = 4 << 20;
/// Greatest `--partitions`.
pub const REPLAY_PARTITIONS_MAX: u32 = 10_000;
/// Greatest `--rate`, in frames a second, and greatest `--speed`.
pub const REPLAY_RATE_MAX: f64 = 1e9;
/// What a batch of one record takes beside the frame at the most, in bytes: the batch's header, the record's own.
pub const RECORD_OVERHEAD_BYTES: usize = 128;
/// Largest batch that `replay` sends where the topic takes it, in bytes before packing.
pub const REPLAY_BATCH_BYTES: usize = 1_000_000;

const _: () = assert!(CLOCK_START < CLOCK_QUORUM && CLOCK_QUORUM < CLOCK_VOTES);
const _: () = assert!(CLOCK_VOTES < HELD_FRAMES_MAX as usize);
const _: () = assert!(
    HINT_FROM_S as u64 * 1_000 > MAX_EVENT_TIME_S as u64,
    "a likely number of a finer unit is out of range in a coarser one"
);
const _: () = assert!(
    HINT_UNTIL_S / 1_000 < 315_532_800,
    "a likely number of a coarser unit is before 1980 in a finer one"
);
const _: () = assert!(2 * CHUNK_BYTES <= KEPT_CHUNK_BYTES && LINE_END_BYTES <= SMALL_CHUNK_BYTES);
const _: () = assert!(MAX_THREADS <= PAGES);
const _: () = assert!(
    (1 << PRECISION_MAX) / PAGES * (64 - PRECISION_MAX as usize + 1) <= PASS_CELLS,
    "a pass stops between two pages, so one must fit"
);
const _: () = assert!(
    PRECISION_MIN >= 8 + 3,
    "a page holds at least one 64-bit hash"
);
const _: () = assert!(PRECISION_MIN <= PRECISION_DEFAULT && PRECISION_DEFAULT <= PRECISION_MAX);
const _: () = assert!(
    ANSWER_QUEUE_MESSAGES >= MAX_THREADS,
    "one barrier's answers always fit"
);
const _: () = assert!(
    ANSWER_QUEUE_MESSAGES > BARRIER_QUEUE_MESSAGES + 1,
    "whoever answers itself before it announces the barrier never waits for itself"
);
const _: () = assert!(LAST_WORD_MS + SHUTDOWN_MS + 2 * CLOSE_MS < 5_000);
const _: () = assert!(PLENTY_MESSAGES <= MESSAGES_PER_CALL);
const _: () = assert!(WINDOWS_PER_BARRIER <= UNPUBLISHED_FINALS_MAX);
const _: () = assert!(DEMO_UNREAD_BYTES + DEMO_UNREAD_BYTES / 8 < MOCK_PARTITION_BYTES);

/// Least and greatest `--checkpoint-interval`, in milliseconds.
pub const CHECKPOINT_MIN_MS: u64 = 100;
/// See [`CHECKPOINT_MIN_MS`].
pub const CHECKPOINT_MAX_MS: u64 = 3_600_000;
/// How long a checkpoint waits for the one before it, in milliseconds; then there is none.
pub const SAVE_WAIT_MS: u64 = 2_000;
/// How long the last checkpoint of an input that has ended waits for the one before it, in milliseconds: as long as that is
/// tried.
pub const LAST_SAVE_WAIT_MS: u64 = COMMIT_TRIES_MAX as u64 * COMMIT_RETRY_MS;
/// How often a checkpoint that cannot be written is tried; then the run ends.
pub const COMMIT_TRIES_MAX: usize = 30;
/// Between two of these tries, in milliseconds.
pub const COMMIT_RETRY_MS: u64 = 2_000;
/// How often a copy of the state is put aside while it is written, in milliseconds.
pub const COPY_EVERY_MS: u64 = 3_600_000;
/// How long a reader of the state waits for a lock of its writer, in milliseconds.
pub const STATE_BUSY_MS: u64 = 10_000;
/// How long the end of a run waits until its state is closed, in milliseconds: it is saved by then, and a disk may hang. That is
/// where a shutdown may take longer than it promises; else it takes some milliseconds.
pub const STATE_CLOSE_MS: u64 = 1_000;
/// Pages of the state that a connection keeps in memory, in KiB.
pub const STATE_CACHE_KIB: i64 = 4_096;
/// The same of the one that writes, which has to read what it replaces.
pub const STATE_WRITER_CACHE_KIB: i64 = 16_384;
/// Checkpoints after which what is in the state's journal is moved to where it belongs. That takes as long as writing one
/// did, and they replace mostly the same pages: some 2,500 of 4 KiB in a busy second.
pub const STATE_JOURNAL_COMMITS: u32 = 4;
/// Pages in the journal from which a checkpoint does not wait for that.
pub const STATE_JOURNAL_PAGES: i64 = 16_384;
/// Longest canonical bytes of a sketch: every page as registers, at the greatest precision.
pub const CANONICAL_SKETCH_MAX_BYTES: usize = (1 << PRECISION_MAX) + PAGES;
/// Longest that a source may keep with a partition's offset to find it again, in bytes.
pub const SOURCE_MARK_MAX_BYTES: usize = 256;
/// Bytes of a file's text by whose hash it is known again.
pub const MARK_HEAD_BYTES: usize = 16 << 10;
/// Sketches that are written together to a new state, so that not all of them are in memory at once.
pub const SKETCHES_PER_COMMIT: usize = 64;

/// Connections that the HTTP server has open at once. One more takes the place of the one that has been idle longest.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// Of these: streams of ticks. One more is refused.
pub const HTTP_STREAMS_MAX: usize = 32;
/// Time in which a request's head must have come, also on a connection that is kept for another request, in milliseconds.
pub const HTTP_HEAD_MS: u64 = 10_000;
/// Time in which a client must have taken something of what is sent to it, in milliseconds.
pub const HTTP_WRITE_STALL_MS: u64 = 10_000;
/// Largest head of a request, in bytes.
pub const HTTP_HEAD_BYTES: usize = 16 << 10;
/// Most header fields of a request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Most parameters of a request.
pub const HTTP_PARAMETERS_MAX: usize = 8;
/// Longest time between two signs of life on a stream, in milliseconds: what stands between a browser and the server
/// often cuts what is silent for a minute.
pub const HTTP_STREAM_BEAT_MS: u64 = 15_000;
/// Wait after a connection could not be accepted, for want of descriptors for example, in milliseconds.
pub const HTTP_ACCEPT_RETRY_MS: u64 = 100;
/// Ticks that a stream can go back to.
pub const BOARD_TICKS: usize = 64;
/// Time between two notes of the counting on the board, in milliseconds.
pub const BOARD_EVERY_MS: u64 = 250;
/// Shortest token, in characters, and longest.
pub const HTTP_TOKEN_CHARS_MIN: usize = 16;
/// See [`HTTP_TOKEN_CHARS_MIN`].
pub const HTTP_TOKEN_CHARS_MAX: usize = 1_024;

/// Time without a note of the counting after which it is said to hang, in milliseconds. It waits this long for outputs at
/// the most.
pub const TROUBLE_HANGS_MS: u64 = UNREACHABLE_END_MS + 30_000;
/// Time in which the output topics must have taken something that waits for them, in milliseconds; or three ticks.
pub const TROUBLE_OUTPUT_MS: u64 = 10_000;
/// Time that a checkpoint may be under way, in milliseconds.
pub const TROUBLE_CHECKPOINT_MS: u64 = 15_000;
/// Frames in a row of which none counts that are worth a word.
pub const TROUBLE_FRAMES: u64 = 20;
/// Time without a frame after which what they were like is no news any more, in milliseconds.
pub const TROUBLE_FRESH_MS: u64 = 60_000;
/// Time in which frames that wait for others to confirm their time are usually confirmed, in milliseconds.
pub const TROUBLE_HELD_MS: u64 = 10_000;

/// Most windows that one answer is put together from; each may take as many bytes as a sketch, on its way.
pub const LOOK_WINDOWS_MAX: usize = 256;
/// Sketches that are on their way to whoever asked, for a series of windows.
pub const LOOK_SKETCHES: usize = 32;
/// Windows that a search for a stretch's cover looks at before it gives up.
pub const LOOK_STEPS_MAX: usize = 4_096;
/// Most windows of a series in one answer, and how many there are unless it is said.
pub const SERIES_MAX: usize = 1_000;
/// See [`SERIES_MAX`].
pub const SERIES_DEFAULT: usize = 100;
/// Looks that an answer takes at the most. A series has one for the list, one with the sketches of what is not known yet, and
/// others where windows go on changing meanwhile that are not among these; and any answer another one where a sketch that has
/// left memory changed while it was read.
pub const LOOKS_MAX: usize = 8;
/// Numbers of closed windows that are remembered, so that the same series is not counted out again.
pub const SERIES_KNOWN_MAX: usize = 8_192;

/// Different questions that the counting is asked in a second, for people and programs outside.
pub const QUESTIONS_PER_S_MAX: u64 = 10;
/// Work that is done for such questions, beside what the shards do, in microseconds of CPU time a second; and how much of it
/// may be saved up.
pub const QUESTION_WORK_US_PER_S: i64 = 25_000;
/// See [`QUESTION_WORK_US_PER_S`].
pub const QUESTION_WORK_BURST_US: i64 = 500_000;
/// Questions that wait for the counting.
pub const QUESTION_QUEUE: usize = 16;
/// How long the same question gets the same answer, in milliseconds.
pub const ANSWER_FRESH_MS: u64 = 1_000;
/// How long each part of an answer may take, in milliseconds.
pub const LOOK_WAIT_MS: u64 = 4_000;
/// How long whoever asked waits for the whole answer, in milliseconds.
pub const ANSWER_WAIT_MS: u64 = 5_000;
/// How long `query` waits for an answer, in milliseconds.
pub const QUERY_WAIT_MS: u64 = 10_000;
/// Largest answer that `query` takes, in bytes.
pub const QUERY_ANSWER_BYTES: usize = 16 << 20;
