//! Why a load is left as it is: a closed list, each with a code, a sentence, a next step and a case that shows it.

/// The obstacle, never the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Only a constant arrives.
    ConstantInput,
    /// Only what this program pickled just before arrives.
    OwnRoundTrip,
    /// A signature is checked before.
    SignatureChecked,
    /// An `Unpickler` subclass that refuses what is not on its list, or a hook that does.
    RestrictedUnpickler,
    /// The call's own arguments make it safe.
    SafeArguments,
    /// It reads what was pickled before, as `--dual-read` left it.
    DualRead,
    /// What `--dual-read` wrote is used in a way that cannot be undone.
    DualReadInUse,
    /// What `--dual-read` would write could not be taken out again without a trace.
    DualReadLeavesTraces,
    /// Only `--finish-dual-read` was asked for.
    OnlyFinishing,
    /// A reviewer left it as it is.
    SkippedInReview,
    /// There is no rewrite for this call.
    NoRewrite,
    /// In test code or an example.
    TestCode,
    /// The data comes from files, arguments or the environment.
    LocalFile,
    /// The data comes from a database, cache or object store.
    StoredData,
    /// The data comes from a network peer that the run was not asked to treat.
    NetworkPeer,
    /// The data comes from a web client, which the run was not asked to treat.
    WebClient,
    /// A parameter of a function that nothing in the project calls.
    NoCaller,
    /// The analysis does not know where the data comes from.
    OriginUnknown,
    /// No way to the load was found.
    NotReached,
    /// The file does not parse.
    FileNotParsed,
    /// No web handler above the load.
    NoHandler,
    /// The helper is also called from code that is not a handler.
    SharedHelper,
    /// The project itself calls the handler.
    HandlerIsCalled,
    /// The handler is a generator.
    InGenerator,
    /// The helper's coroutine is not awaited where it is called.
    NotAwaited,
    /// In a comprehension.
    InComprehension,
    /// In a lambda.
    InLambda,
    /// In a class body or an annotation.
    InDefinition,
    /// In an `elif` test.
    InElif,
    /// In a `while` test.
    InLoopTest,
    /// Evaluated only under a condition inside its statement.
    ConditionalEvaluation,
    /// Something else with effects comes earlier in the same statement.
    EvaluationOrder,
    /// In an f-string that prints the expression's own text.
    InDebugText,
    /// In a `finally` block.
    InFinally,
    /// A load inside another.
    NestedLoads,
    /// The file object holds several pickles.
    ReadsAStream,
    /// The program looks for what pickles begin with.
    AsksForAPickle,
    /// Arguments that the new call has no place for.
    ExtraArguments,
    /// Attributes of the loaded value are used.
    ValueHasAttributes,
    /// The call gives a generator, which loads where it is iterated.
    LazyLoad,
    /// The loaded value is called.
    ValueIsCalled,
    /// Which classes the value is made of is not known in full.
    ClassesUnknown,
    /// A setting decides the format of everything that goes that way.
    FormatOfAll,
    /// Whole numbers come back as floats.
    NumbersAreFloats,
    /// The loaded value is tested for, or used as, a type that JSON has not.
    ValueHasType,
    /// The name of the new module means something else there.
    NameTaken,
    /// The function itself is handed on.
    PassedAsAFunction,
    /// The `Unpickler` is kept in a variable.
    UnpicklerInAVariable,
    /// The function is reached through a variable, registry or attribute.
    IndirectCall,
    /// An `except` around the load would catch the answer.
    ReplySwallowed,
    /// The status was set, or the answer sent in part, before the load.
    AnswerBegun,
    /// The program answers to an error that the new call never raises.
    AnswerLost,
    /// The project itself may pickle what this load reads.
    WriterInProject,
    /// What the project itself pickles for this load is something that JSON has not.
    WriterNotJson,
    /// The call that pickles cannot be rewritten.
    WriterNotRewritten,
    /// Another load reads the same and cannot be rewritten.
    OtherReaderStays,
    /// Of what the project itself pickles for this load it is not known that it is plain data.
    WriterUnclear,
    /// The same file pickles as well, and where that goes is not known.
    WriterUntraced,
    /// JSON gives back something else than was written.
    ValueIsLossy,
    /// The analysis met its bound on work.
    AnalysisBound,
    /// depickle failed on the load, or on code that may lead to it.
    AnalysisFailed,
    /// The data goes through a call that nothing is known of.
    UnknownCall,
    /// The client names the file or address that is read.
    ClientNamesTheSource,
    /// The same load also reads data that is not to be treated.
    MixedOrigins,
    /// IPython reads the line, or the cell, otherwise than Python.
    LineMagic,
    /// The file's encoding cannot hold the new text.
    NotEncodable,
    /// The rewritten project did not pass the checks.
    CheckFailed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 67] = [
        Reason::ConstantInput,
        Reason::OwnRoundTrip,
        Reason::SignatureChecked,
        Reason::RestrictedUnpickler,
        Reason::SafeArguments,
        Reason::DualRead,
        Reason::DualReadInUse,
        Reason::DualReadLeavesTraces,
        Reason::OnlyFinishing,
        Reason::SkippedInReview,
        Reason::NoRewrite,
        Reason::TestCode,
        Reason::LocalFile,
        Reason::StoredData,
        Reason::NetworkPeer,
        Reason::WebClient,
        Reason::NoCaller,
        Reason::OriginUnknown,
        Reason::NotReached,
        Reason::FileNotParsed,
        Reason::NoHandler,
        Reason::SharedHelper,
        Reason::HandlerIsCalled,
        Reason::InGenerator,
        Reason::NotAwaited,
        Reason::InComprehension,
        Reason::InLambda,
        Reason::InDefinition,
        Reason::InElif,
        Reason::InLoopTest,
        Reason::ConditionalEvaluation,
        Reason::EvaluationOrder,
        Reason::InDebugText,
        Reason::InFinally,
        Reason::NestedLoads,
        Reason::ReadsAStream,
        Reason::AsksForAPickle,
        Reason::ExtraArguments,
        Reason::ValueHasAttributes,
        Reason::LazyLoad,
        Reason::ValueIsCalled,
        Reason::ClassesUnknown,
        Reason::FormatOfAll,
        Reason::NumbersAreFloats,
        Reason::ValueHasType,
        Reason::NameTaken,
        Reason::PassedAsAFunction,
        Reason::UnpicklerInAVariable,
        Reason::IndirectCall,
        Reason::ReplySwallowed,
        Reason::AnswerBegun,
        Reason::AnswerLost,
        Reason::WriterInProject,
        Reason::WriterNotJson,
        Reason::WriterNotRewritten,
        Reason::OtherReaderStays,
        Reason::WriterUnclear,
        Reason::WriterUntraced,
        Reason::ValueIsLossy,
        Reason::AnalysisBound,
        Reason::AnalysisFailed,
        Reason::UnknownCall,
        Reason::ClientNamesTheSource,
        Reason::MixedOrigins,
        Reason::LineMagic,
        Reason::NotEncodable,
        Reason::CheckFailed,
    ];

    /// Kebab-case code, in reports and cases.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// One sentence: what stands in the way.
    pub fn sentence(self) -> &'static str {
        self.row().1
    }

    /// One step that leads on.
    pub fn next_step(self) -> &'static str {
        self.row().2
    }

    /// The reason called `code`.
    pub fn by_code(code: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.code() == code)
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Reason::ConstantInput => (
                "constant-input",
                "only a constant of the program itself is loaded",
                "nothing is owed; JSON would still be simpler",
            ),
            Reason::OwnRoundTrip => (
                "own-round-trip",
                "only what the program itself has just pickled is loaded",
                "nothing is owed; copy.deepcopy says it more plainly",
            ),
            Reason::SignatureChecked => (
                "signature-checked",
                "a signature under a key that is not in the code is checked first",
                "keep the key secret; prefer JSON under the signature",
            ),
            Reason::RestrictedUnpickler => (
                "restricted-unpickler",
                "a subclass of Unpickler decides which classes may be loaded",
                "review its find_class: it must refuse every name that is not listed",
            ),
            Reason::SafeArguments => (
                "safe-arguments",
                "the call's own arguments make it safe",
                "nothing to do; keep them",
            ),
            Reason::TestCode => (
                "test-code",
                "it is test code, an example or documentation, which nobody deploys",
                "run again with --include-tests to treat it too",
            ),
            Reason::DualRead => (
                "dual-read",
                "it reads what was pickled before, through an allow-list, as --dual-read left it",
                "when its warnings have stopped, run depickle stage --finish-dual-read",
            ),
            Reason::DualReadInUse => (
                "dual-read-in-use",
                "what --dual-read wrote is used in another way than it was written, so it cannot be taken out",
                "use its functions in their own module alone, or take them out by hand",
            ),
            Reason::DualReadLeavesTraces => (
                "dual-read-leaves-traces",
                "the reading of old pickles could not be taken out here later without a trace",
                "drop imports that nothing uses, put the load into a function, or run without --dual-read",
            ),
            Reason::OnlyFinishing => (
                "only-finishing",
                "nothing but the end of dual reading was asked for",
                "run depickle without --finish-dual-read",
            ),
            Reason::SkippedInReview => (
                "skipped-in-review",
                "a reviewer left it as it is",
                "read in the plan why; `depickle diff -i` asks anew",
            ),
            Reason::NoRewrite => (
                "no-rewrite",
                "depickle reports this call and has no rewrite for it",
                "follow the advice of `depickle explain` for it",
            ),
            Reason::LocalFile => (
                "local-file",
                "the data comes from a file, the arguments or the environment of the program",
                "if others can write there, run again with --trust http,network,file",
            ),
            Reason::StoredData => (
                "stored-data",
                "the data comes from a database, cache or object store",
                "if others can write there, run again with --trust http,network,stored",
            ),
            Reason::NetworkPeer => (
                "network-peer",
                "the data comes from a network peer, and --trust leaves those out",
                "run again with --trust network",
            ),
            Reason::WebClient => (
                "web-client",
                "the data comes from a web client, and --trust leaves those out",
                "run again with --trust http",
            ),
            Reason::NoCaller => (
                "no-caller",
                "the data is a parameter of a function that nothing in the project calls",
                "look who calls it from outside; then treat it by hand",
            ),
            Reason::OriginUnknown => (
                "origin-unknown",
                "the analysis does not know where the data comes from",
                "follow it by hand",
            ),
            Reason::NotReached => (
                "not-reached",
                "no way through the program to this load was found",
                "delete the code if it is dead",
            ),
            Reason::FileNotParsed => (
                "file-not-parsed",
                "the file does not parse as Python 3",
                "make it parse, then run again",
            ),
            Reason::NoHandler => (
                "no-handler",
                "no web handler stands above the load, so there is nobody to answer 400 to",
                "decide what becomes of a message that is not JSON; `depickle diff --suggestions` shows one way",
            ),
            Reason::SharedHelper => (
                "shared-helper",
                "the load is in a helper that is also called from code that is not a handler",
                "look at those callers, and at what `depickle diff --suggestions` shows",
            ),
            Reason::HandlerIsCalled => (
                "handler-is-called",
                "the project itself calls this handler, and would take the answer for its result",
                "move the shared part into a function, then run again",
            ),
            Reason::InGenerator => (
                "in-generator",
                "the load runs in a generator, after the status was sent or the guard was left",
                "load before the first yield, in a function of its own",
            ),
            Reason::NotAwaited => (
                "not-awaited",
                "the helper's coroutine is not awaited where it is called, so its error rises elsewhere",
                "await the call, then run again",
            ),
            Reason::InComprehension => (
                "in-comprehension",
                "the load runs once for each element of a comprehension",
                "write the comprehension as a loop, then run again",
            ),
            Reason::InLambda => (
                "in-lambda",
                "the load is the body of a lambda",
                "write the lambda as a function, then run again",
            ),
            Reason::InDefinition => (
                "in-definition",
                "the load runs when a class or function is defined",
                "move it into the function, then run again",
            ),
            Reason::InElif => (
                "in-elif",
                "the load is in an elif test, which runs only when the tests before it failed",
                "write `else:` and a nested `if`, then run again",
            ),
            Reason::InLoopTest => (
                "in-loop-test",
                "the load is in a while test, which runs once for each turn",
                "write `while True:` with a load and a `break`, then run again",
            ),
            Reason::ConditionalEvaluation => (
                "conditional-evaluation",
                "the load runs only under a condition inside its own statement",
                "write the condition as an `if` statement, then run again",
            ),
            Reason::EvaluationOrder => (
                "evaluation-order",
                "another call comes earlier in the same statement",
                "give the load a statement of its own, then run again",
            ),
            Reason::InDebugText => (
                "in-debug-text",
                "the load is in an f-string or template that shows the text of the expression itself",
                "give the load a name first, then run again",
            ),
            Reason::InFinally => (
                "in-finally",
                "the load is in a finally block, where an answer would take the place of the error in flight",
                "load before the try, then run again",
            ),
            Reason::NestedLoads => (
                "nested-loads",
                "one load stands inside another",
                "load JSON once by hand; the inner pickle needs another format too",
            ),
            Reason::ReadsAStream => (
                "reads-a-stream",
                "more is read from one file or connection than one pickle; JSON reads to its end",
                "write one JSON document a line, and read it line by line",
            ),
            Reason::AsksForAPickle => (
                "asks-for-a-pickle",
                "the bytes that pickles begin with are looked for before; JSON would never pass",
                "take that test out with the load, or try `--to restricted`",
            ),
            Reason::ExtraArguments => (
                "extra-arguments",
                "the call has arguments that json has no place for",
                "decide by hand what they are needed for",
            ),
            Reason::ValueHasAttributes => (
                "value-has-attributes",
                "attributes or methods of the loaded value are used that JSON values do not have",
                "run again with --to restricted for an allow-list Unpickler, or change the value to plain data",
            ),
            Reason::LazyLoad => (
                "lazy-load",
                "the call gives a generator, which loads where it is iterated, after the guard was left",
                "write list(...) around the call, then run again",
            ),
            Reason::ValueIsCalled => (
                "value-is-called",
                "the loaded value is called, so it is code",
                "let the client name one of your own functions instead",
            ),
            Reason::ClassesUnknown => (
                "classes-unknown",
                "which classes the loaded value is made of is not known in full",
                "annotate it: `cart: Cart = ...`, with a dataclass of annotated fields; or run again with --suggestions and complete the list",
            ),
            Reason::FormatOfAll => (
                "format-of-all",
                "the setting decides the format of everything that is kept or sent this way, and not all of it may be plain data",
                "see that it is, and that nothing in the old format is waiting; then run again with --suggestions",
            ),
            Reason::NumbersAreFloats => (
                "numbers-are-floats",
                "whole numbers come back as floats",
                "see that none is used as an index or a count; then run again with --suggestions",
            ),
            Reason::ValueHasType => (
                "value-has-type",
                "the loaded value is tested for, or used as, a type that JSON does not have",
                "run again with --to restricted for an allow-list Unpickler, or change the value to plain data",
            ),
            Reason::NameTaken => (
                "name-taken",
                "a name that the rewrite needs means something else there",
                "rename the other, then run again",
            ),
            Reason::PassedAsAFunction => (
                "passed-as-a-function",
                "the load function itself is handed to other code",
                "hand on a function of your own that loads JSON",
            ),
            Reason::UnpicklerInAVariable => (
                "unpickler-in-a-variable",
                "the Unpickler is kept in a variable",
                "load at once: pickle.load(f), then run again",
            ),
            Reason::IndirectCall => (
                "indirect-call",
                "the load function is reached through a variable, a registry or an attribute",
                "change what is stored there by hand",
            ),
            Reason::ReplySwallowed => (
                "reply-swallowed",
                "an except around the load could catch the answer",
                "narrow that except, then run again",
            ),
            Reason::AnswerBegun => (
                "answer-begun",
                "another answer was begun before the load, so 400 can no longer be said",
                "load before the answer begins, then run again",
            ),
            Reason::AnswerLost => (
                "answer-lost",
                "the program answers to an error, of empty input or of a broken pickle, that the new call never raises",
                "let that answer be given to ValueError too, or take it out, then run again",
            ),
            Reason::WriterInProject => (
                "writer-in-project",
                "the project itself may pickle what this load reads; where that goes is not known for sure",
                "change writer and reader together by hand",
            ),
            Reason::WriterNotJson => (
                "writer-not-json",
                "the project itself pickles what this load reads, and JSON cannot carry it",
                "write plain data in its place, or keep it on the server",
            ),
            Reason::WriterNotRewritten => (
                "writer-not-rewritten",
                "the project itself pickles what this load reads, by a call that cannot be rewritten with it",
                "make it a plain pickle.dumps of one value, or change both by hand",
            ),
            Reason::OtherReaderStays => (
                "other-reader-stays",
                "the project itself pickles what this load reads, and another load that reads the same stays",
                "see why the other load stays, then run again",
            ),
            Reason::WriterUnclear => (
                "writer-unclear",
                "the project itself pickles what this load reads, and it is not known that JSON can carry it",
                "look what is written; if it is plain data, make the change",
            ),
            Reason::WriterUntraced => (
                "writer-untraced",
                "the same file also pickles, and it is not known whether this load reads that",
                "look where it goes; if this load does not read it, make the change",
            ),
            Reason::ValueIsLossy => (
                "value-is-lossy",
                "JSON gives back something else than was written: lists for tuples, text for keys that are numbers",
                "look whether the code that uses the value minds; if not, make the change",
            ),
            Reason::AnalysisBound => (
                "analysis-bound",
                "the project is so large that the analysis met its bound before all ways to the load were seen",
                "scan the application's own folder alone",
            ),
            Reason::AnalysisFailed => (
                "analysis-failed",
                "depickle failed on the load, or on code that may lead to it, which is a defect of its own",
                "report this with what is said of the file; look at this load by hand",
            ),
            Reason::UnknownCall => (
                "unknown-call",
                "the data comes through a call that depickle does not know: it may decode it, or look something else up",
                "look what the call returns; if it decodes, describe it as a [[step]] in a pack",
            ),
            Reason::ClientNamesTheSource => (
                "client-names-the-source",
                "the client names the file or address that is read, and what is there was written elsewhere",
                "check the name against a list; change the format together with whoever writes it",
            ),
            Reason::MixedOrigins => (
                "mixed-origins",
                "the same load also reads data from elsewhere, which may still be pickled",
                "give the client's data a load of its own, then run again",
            ),
            Reason::LineMagic => (
                "line-magic",
                "the line, or its cell, is a magic of IPython, which runs it in its own way",
                "put the load into a line of its own without the magic, then run again",
            ),
            Reason::NotEncodable => (
                "not-encodable",
                "the file's encoding cannot hold the new text",
                "change the message, or save the file as UTF-8",
            ),
            Reason::CheckFailed => (
                "check-failed",
                "the rewritten project did not pass the checks, so the change was taken back",
                "report this with the file: it is a defect of depickle",
            ),
        }
    }
}
