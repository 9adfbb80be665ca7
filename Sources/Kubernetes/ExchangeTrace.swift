// ExchangeTrace: what was last asked of a server and how it answered, for people who look at an attempt later.
//
// Whoever makes an attempt binds one to the task; whoever sends a request on its behalf notes it there, already as it may be shown:
// without secrets, without a query, an answer only where it refuses or names what was made. Without one nothing is noted.

import Synchronization

/// A request and its answer, as they may be shown.
public struct ExchangeRecord: Sendable, Equatable {
    /// Method and path, or method and `scheme://host:port`; never a secret.
    public var request: String
    /// 0: no answer.
    public var status: Int = 0
    /// When the request was refused: why, in the server's words. When something was made: its name. Else empty.
    public var answer = ""

    public init(request: String, status: Int = 0, answer: String = "") {
        self.request = request
        self.status = status
        self.answer = answer
    }
}

/// The last exchange of one attempt. Safe to use from any task.
public final class ExchangeTrace: Sendable {
    @TaskLocal public static var current: ExchangeTrace?

    private let record = Mutex<ExchangeRecord?>(nil)

    public init() {}

    /// nil: nothing was sent.
    public var last: ExchangeRecord? { record.withLock { $0 } }

    /// A request goes out. Of the path only what stands before a query is kept.
    public func begin(_ method: String, _ place: String) {
        let place = place.prefix { $0 != "?" && $0 != "#" }
        record.withLock { $0 = ExchangeRecord(request: "\(method) \(place)") }
    }

    /// The answer to it. Of `text` no more than 300 characters are kept, on one line.
    public func end(status: Int, _ text: String = "") {
        let answer = KubernetesError.printable(text, 300)
        record.withLock { record in
            record?.status = status
            record?.answer = answer
        }
    }

    /// What the answer named.
    public func name(_ text: String) {
        let answer = KubernetesError.printable(text, 300)
        record.withLock { $0?.answer = answer }
    }
}
