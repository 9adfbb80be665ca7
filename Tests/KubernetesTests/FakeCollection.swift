// FakeCollection: an API server that serves one kind, scripted: what the n-th list and the n-th watch get. And what a
// reflector told, as short texts.

import Foundation
import Logging
import Synchronization

@testable import Kubernetes

final class FakeCollection: Sendable {
    struct Query: Sendable {
        var items: [String: String]
        subscript(name: String) -> String? { items[name] }
    }
    typealias Script = @Sendable (_ number: Int, _ query: Query) -> RawAnswer

    private struct State {
        var lists: [Query] = []
        var watches: [Query] = []
        var isServed = true
    }
    private let state = Mutex(State())
    private let box = Mutex<RawServer?>(nil)

    init(list: @escaping Script, watch: @escaping Script) {
        let server = RawServer { [self] request, _ in
            let target = String(request.line.split(separator: " ")[1])
            let components = URLComponents(string: target)
            let query = Query(
                items: Dictionary(
                    (components?.queryItems ?? []).map { ($0.name, $0.value ?? "") }, uniquingKeysWith: { $1 }))
            let isServed = state.withLock { $0.isServed }
            switch components?.path {
            case "/apis":
                let groups = isServed ? #"{"name":"g","versions":[{"version":"v1"},{"version":"v2"}]}"# : ""
                return .bytes(answer("200 OK", #"{"groups":[\#(groups)]}"#))
            case "/apis/g/v1" where isServed, "/apis/g/v2" where isServed:
                return .bytes(answer("200 OK", #"{"resources":[{"name":"as","kind":"A","namespaced":true}]}"#))
            case "/apis/g/v1/as", "/apis/g/v2/as", "/apis/g/v1/namespaces/n/as":
                guard isServed else { return .bytes(answer("404 Not Found", "404 page not found\n")) }
                if query["watch"] == "true" {
                    let number = state.withLock { state in
                        state.watches.append(query)
                        return state.watches.count - 1
                    }
                    return watch(number, query)
                }
                let number = state.withLock { state in
                    state.lists.append(query)
                    return state.lists.count - 1
                }
                return list(number, query)
            default: return .bytes(answer("404 Not Found", "404 page not found\n"))
            }
        }
        box.withLock { $0 = server }
    }

    var url: String { box.withLock { $0?.url ?? "" } }
    var requests: [RawRequest] { box.withLock { $0?.requests ?? [] } }
    var lists: [Query] { state.withLock { $0.lists } }
    var watches: [Query] { state.withLock { $0.watches } }
    var isServed: Bool {
        get { state.withLock { $0.isServed } }
        set { state.withLock { $0.isServed = newValue } }
    }

    func stop() {
        box.withLock { server in
            server?.stop()
            server = nil
        }
    }

    func client(_ change: (inout KubernetesClient.Settings) -> Void = { _ in }) throws -> KubernetesClient {
        var settings = KubernetesClient.Settings.patient
        settings.requestsPerSecond = 10_000
        settings.requestsBurst = 10_000
        settings.discoveryMissSeconds = 0
        change(&settings)
        return try KubernetesClient(Kubeconfig(server: url), settings: settings, logger: Logger(label: "test"))
    }
}

extension KubernetesClient.Settings {
    /// For tests that are not about the time that a call takes: on a busy machine it may be long, and no limit must end it.
    static var patient: Self {
        var settings = Self(version: "1.2.3")
        settings.timeoutSeconds = 600
        settings.listTimeoutSeconds = 600
        settings.watchHeadSeconds = 600
        return settings
    }
}

/// A page of objects by name.
func page(_ names: [String], version: Int, next: String = "") -> RawAnswer {
    let items = names.map { #"{"metadata":{"name":"\#($0)","resourceVersion":"1"}}"# }.joined(separator: ",")
    return .bytes(
        answer("200 OK", #"{"metadata":{"resourceVersion":"\#(version)","continue":"\#(next)"},"items":[\#(items)]}"#))
}

/// A Status with a code.
func refusal(_ code: Int, _ reason: String, fields: [String] = []) -> RawAnswer {
    .bytes(answer("\(code) X", status(code, reason), fields: fields))
}

func status(_ code: Int, _ reason: String) -> String {
    #"{"kind":"Status","status":"Failure","reason":"\#(reason)","message":"m","code":\#(code)}"#
}

/// One line of a watch.
func event(_ type: String, _ name: String, version: Int) -> String {
    #"{"type":"\#(type)","object":{"metadata":{"name":"\#(name)","resourceVersion":"\#(version)"}}}"# + "\n"
}

/// A watch that gives these lines and stays open until the other end closes it.
func watching(_ lines: String...) -> RawAnswer {
    .stream { connection in
        connection.begin()
        for line in lines where !line.isEmpty { connection.chunk(line) }
        connection.wait(600)
        return false
    }
}

/// Objects are their names.
struct NameDecoder: ObjectDecoder {
    struct Unreadable: Error {}

    func page(_ body: Data, of resource: APIResource) throws -> ObjectPage<String> {
        guard let list = try JSONSerialization.jsonObject(with: body) as? [String: Any],
            let metadata = list["metadata"] as? [String: Any], let items = list["items"] as? [[String: Any]]
        else { throw Unreadable() }
        return ObjectPage(
            objects: try items.map { try name($0).name }, resourceVersion: metadata["resourceVersion"] as? String ?? "",
            continueToken: metadata["continue"] as? String ?? "")
    }

    func event(_ line: Data, of resource: APIResource) throws -> WatchEvent<String> {
        guard let event = try JSONSerialization.jsonObject(with: line) as? [String: Any],
            let type = event["type"] as? String, let object = event["object"] as? [String: Any]
        else { throw Unreadable() }
        if type == "ERROR" {
            let data = try JSONSerialization.data(withJSONObject: object)
            return .failed(KubernetesStatus(json: data) ?? KubernetesStatus())
        }
        let (name, version) = try name(object)
        switch type {
        case "ADDED", "MODIFIED": return .applied(name, resourceVersion: version)
        case "DELETED": return .deleted(name, resourceVersion: version)
        case "BOOKMARK": return .bookmark(resourceVersion: version)
        default: throw Unreadable()
        }
    }

    private func name(_ object: [String: Any]) throws -> (name: String, version: String) {
        guard let metadata = object["metadata"] as? [String: Any] else { throw Unreadable() }
        return (metadata["name"] as? String ?? "", metadata["resourceVersion"] as? String ?? "")
    }
}

/// What a reflector told.
final class Told: Sendable {
    private let state = Mutex([String]())

    var all: [String] { state.withLock { $0 } }

    func add(_ update: ReflectorUpdate<String>) {
        let text =
            switch update {
            case .replaced(let names): "replaced " + names.joined(separator: ",")
            case .applied(let name): "applied " + name
            case .deleted(let name): "deleted " + name
            case .unserved: "unserved"
            case .failing(let error): "failing \(error)"
            case .recovered: "recovered"
            }
        state.withLock { $0.append(text) }
    }

    /// Waits until that many updates were told; what is missing then is an empty text.
    func wait(_ count: Int) async -> [String] {
        await eventually { self.all.count >= count }
        let told = all
        return told + Array(repeating: "", count: max(0, count - told.count))
    }
}

/// A number that several tasks count up.
final class Counter: Sendable {
    private let state = Mutex(0)
    var value: Int { state.withLock { $0 } }
    func add() { state.withLock { $0 += 1 } }
}

/// Waits until `holds`; whether it did. The limit ends a hang and nothing else.
@discardableResult
func eventually(_ seconds: Double = 180, _ holds: () -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while !holds() {
        if ContinuousClock.now > end { return false }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return true
}
