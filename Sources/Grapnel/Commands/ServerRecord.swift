// ServerRecord: which process serves a data directory, and what `grapnel drain` and that process say to each other.
//
//   server.json   by the server, when it is ready: its process
//   drain.json    by `grapnel drain`, before it sends SIGTERM: the process it is for, and how long to work off what is owed
//   drained.json  by the server, as the last thing it does: how much it still owes
//
// Files and one signal: nothing listens, so nobody can ask for it who may not write the data directory and signal the server.

import Foundation

struct ServerRecord: Codable, Equatable {
    var process: ProcessIdentity
    /// Where administration listens, as `host:port`.
    var admin: String
    /// Where deliveries are taken.
    var listen: [String]
    var version: String

    private static func path(_ dataDirectory: String) -> String { dataDirectory + "/server.json" }

    /// nil, or why it could not be written.
    func write(_ dataDirectory: String) -> String? {
        guard let data = try? JSONEncoder().encode(self) else { return "not encodable" }
        return DataDirectory.replace(Self.path(dataDirectory), with: data)
    }

    static func read(_ dataDirectory: String) -> ServerRecord? { SmallJSON.read(path(dataDirectory)) }
}

struct DrainRequest: Codable, Equatable {
    var process: ProcessIdentity
    var timeoutNanoseconds: UInt64

    private static func path(_ dataDirectory: String) -> String { dataDirectory + "/drain.json" }

    func write(_ dataDirectory: String) -> String? {
        guard let data = try? JSONEncoder().encode(self) else { return "not encodable" }
        return DataDirectory.replace(Self.path(dataDirectory), with: data)
    }

    static func remove(_ dataDirectory: String) { _ = unsafe unlink(path(dataDirectory)) }

    /// The request for this very process, if there is one; it is gone afterwards, as is one for another process.
    static func take(_ dataDirectory: String) -> DrainRequest? {
        let request: DrainRequest? = SmallJSON.read(path(dataDirectory))
        remove(dataDirectory)
        return request.flatMap { $0.process == ProcessIdentity.own ? $0 : nil }
    }
}

struct DrainResult: Codable, Equatable {
    var process: ProcessIdentity
    /// Deliveries without a final outcome.
    var owed: Int

    private static func path(_ dataDirectory: String) -> String { dataDirectory + "/drained.json" }

    func write(_ dataDirectory: String) -> String? {
        guard let data = try? JSONEncoder().encode(self) else { return "not encodable" }
        return DataDirectory.replace(Self.path(dataDirectory), with: data)
    }

    /// Of this process; another's says nothing.
    static func read(_ dataDirectory: String, of process: ProcessIdentity) -> DrainResult? {
        let result: DrainResult? = SmallJSON.read(path(dataDirectory))
        return result.flatMap { $0.process == process ? $0 : nil }
    }
}

private enum SmallJSON {
    /// nil when there is no such file, or it is not what it should be.
    static func read<Value: Decodable>(_ path: String) -> Value? {
        guard case .success(let bytes) = SmallFile.read(path, bytesMax: 64 << 10) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: Data(bytes))
    }
}
