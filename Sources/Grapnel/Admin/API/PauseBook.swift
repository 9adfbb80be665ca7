// PauseBook: what operators have paused, kept in the data directory so that a restart keeps it: paused.json.
//
//   {"paused": [{"route": {"cluster": "local", "kind": "Hook", "namespace": "team-a", "name": "webapp"}},
//               {"namespace": "team-a", "cluster": "local"}, {"target": "…", "cluster": "local"}]}
//
// Written before it takes effect: what was answered as paused is paused after a crash too.

internal import Catalog
internal import Delivery
internal import Foundation
internal import Synchronization
internal import Trigger

final class PauseBook: Sendable {
    static let subjectsMax = 1000
    private static let fileBytesMax = 1 << 20

    private let path: String
    private let subjects: Mutex<Set<PauseSubject>>
    private let apply: @Sendable (Set<PauseSubject>) -> Void

    enum Change: Sendable, Equatable {
        case done(isNew: Bool)
        case full
        /// The data directory cannot be written.
        case failed(String)
    }

    /// Reads what is there and applies it. Throws when it is there and cannot be understood: to start without would act on what was
    /// paused.
    init(dataDirectory: String, apply: @escaping @Sendable (Set<PauseSubject>) -> Void) throws(CommandFailure) {
        path = dataDirectory + "/paused.json"
        self.apply = apply
        var found: Set<PauseSubject> = []
        if FileManager.default.fileExists(atPath: path) {
            guard case .success(let bytes) = SmallFile.read(path, bytesMax: Self.fileBytesMax),
                let list = JSONValue(bytes)?["paused"]?.elements
            else { throw Self.unreadable(path) }
            for element in list {
                guard let subject = PauseSubject(element) else { throw Self.unreadable(path) }
                found.insert(subject)
            }
        }
        subjects = Mutex(found)
        if !found.isEmpty { apply(found) }
    }

    private static func unreadable(_ path: String) -> CommandFailure {
        .environment(
            "\(path) says what is paused and cannot be understood; repair it, or remove it to resume everything")
    }

    var all: Set<PauseSubject> { subjects.withLock { $0 } }

    func change(_ subject: PauseSubject, isPaused: Bool) -> Change {
        subjects.withLock { subjects in
            var next = subjects
            let isNew = isPaused ? next.insert(subject).inserted : next.remove(subject) != nil
            guard isNew else { return .done(isNew: false) }
            guard next.count <= Self.subjectsMax else { return .full }
            let json: JSONValue = ["paused": .array(Self.sorted(next).map(\.json))]
            if let trouble = DataDirectory.replace(path, with: Data(json.serialized + [0x0a])) {
                return .failed(trouble)
            }
            subjects = next
            apply(next)
            return .done(isNew: true)
        }
    }

    static func sorted(_ subjects: Set<PauseSubject>) -> [PauseSubject] {
        subjects.sorted { "\($0)" < "\($1)" }
    }
}

extension PauseSubject {
    var json: JSONValue {
        switch self {
        case .route(let route): ["route": DeliveryReport.json(route)]
        case .namespace(let cluster, let namespace): ["namespace": .string(namespace), "cluster": .string(cluster)]
        case .target(let cluster, let text): ["target": .string(text), "cluster": .string(cluster)]
        }
    }

    /// nil when the value is none of the three forms. A route may be an object or `Kind/namespace/name`; the cluster is `local` unless
    /// it is given.
    init?(_ value: JSONValue) {
        guard let members = value.members,
            members.allSatisfy({ ["route", "namespace", "target", "cluster"].contains($0.name) })
        else { return nil }
        let cluster = value["cluster"]?.text ?? "local"
        let given = ["route", "namespace", "target"].filter { value[$0] != nil }
        guard given.count == 1, !cluster.isEmpty, cluster.utf8.count <= 255 else { return nil }
        switch given[0] {
        case "route":
            guard let route = value["route"].flatMap({ Self.route($0, cluster: cluster) }) else { return nil }
            self = .route(route)
        case "namespace":
            guard let text = value["namespace"]?.text, (1...255).contains(text.utf8.count) else { return nil }
            self = .namespace(cluster: cluster, namespace: text)
        default:
            guard let text = value["target"]?.text, (1...1024).contains(text.utf8.count) else { return nil }
            self = .target(cluster: cluster, text: text)
        }
    }

    private static func route(_ value: JSONValue, cluster: String) -> RouteIdentity? {
        if let text = value.text {
            guard let pattern = DeliveryFilter.RoutePattern(text), let kind = pattern.kind,
                let namespace = pattern.namespace
            else { return nil }
            return RouteIdentity(cluster: cluster, kind: kind, namespace: namespace, name: pattern.name)
        }
        guard let word = value["kind"]?.text, let kind = ReceiverKind.allCases.first(where: { $0.name == word }),
            let namespace = value["namespace"]?.text, let name = value["name"]?.text
        else { return nil }
        return RouteIdentity(
            cluster: value["cluster"]?.text ?? cluster, kind: kind, namespace: namespace, name: name)
    }
}
