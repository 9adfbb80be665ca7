// Events without new content reach the status writer, and never with a verdict on another content.

import Catalog
import Delivery
import Kubernetes
import Logging
import Synchronization
import Testing

@testable import Cluster

private let receivers = ObjectCatalog.Collection(kind: "Receiver.notification.toolkit.fluxcd.io")
private let identity = RouteIdentity(kind: .receiver, namespace: "team-a", name: "webapp")

private func receiver(
    generation: Int = 1, version: Int = 1, uid: String = "u", status: String = "{}"
) throws -> CatalogObject {
    let text = """
        {"metadata":{"name":"webapp","namespace":"team-a","uid":"\(uid)","resourceVersion":"\(version)","generation":\(generation),
         "finalizers":["finalizers.fluxcd.io"]},
         "spec":{"type":"github","secretRef":{"name":"token"},"n":\(generation),
         "resources":[{"kind":"GitRepository","name":"a"}]},"status":\(status)}
        """
    let value = try #require(JSONValue(Array(text.utf8)))
    return try #require(CatalogObject(value, apiVersion: "notification.toolkit.fluxcd.io/v1", kind: "Receiver"))
}

@Suite("Bookkeeping of receivers")
struct BookkeepingTests {
    private final class Box: Sendable {
        let count = Mutex(0)
        let status: StatusWriter
        let objects = ObjectCatalog(cluster: "local")

        init() throws {
            let client = try KubernetesClient(
                Kubeconfig(server: "http://127.0.0.1:9"), settings: KubernetesClient.Settings(version: "0"),
                logger: Logger(label: "test"))
            let events = EventRecorder(client, instance: "test", logger: Logger(label: "test"))
            status = StatusWriter(client, events: events, logger: Logger(label: "test"))
        }

        func bookkeeping(_ owner: ClusterMember.StatusOwner) -> Bookkeeping {
            Bookkeeping(status, owner: owner) { self.count.withLock { $0 += 1 } }
        }
        var compilations: Int { count.withLock { $0 } }

        /// The catalog gets the object, the bookkeeping what the catalog says of it; true when it is no change of content.
        @discardableResult
        func take(_ object: CatalogObject, _ bookkeeping: Bookkeeping) -> Bool {
            let change = objects.apply(receivers, object).object
            if change == .content { return false }
            bookkeeping.note(object.facts, change)
            return true
        }

        func compileAndPublish(_ bookkeeping: Bookkeeping, meanwhile: () throws -> Void = {}) throws {
            bookkeeping.beginCompiling(objects)
            var snapshot = CatalogSnapshot()
            snapshot.verdicts[identity] = .ready(path: "/hook/x")
            try meanwhile()
            bookkeeping.publish(snapshot, objects, cluster: "local")
        }
    }

    @Test("a status that came by the watch needs no compilation, and the writer knows it")
    func status() throws {
        let box = try Box()
        let bookkeeping = box.bookkeeping(.own)
        box.take(try receiver(), bookkeeping)
        try box.compileAndPublish(bookkeeping)
        #expect(box.status.backlog == 1)
        let entry = try #require(box.status.entry(of: try receiver().facts))
        let written = JSONValue.object(
            StatusChange(of: entry.facts, entry.verdict, now: "2026-01-01T00:00:00Z", hasFinalizer: true).status)
        let text = String(decoding: written.serialized, as: UTF8.self)
        #expect(box.take(try receiver(version: 2, status: text), bookkeeping))
        #expect(box.compilations == 0)
        #expect(box.status.backlog == 0, "the status says now what it should")
        // Somebody takes it away: it is due again, without a compilation.
        #expect(box.take(try receiver(version: 3), bookkeeping))
        #expect(box.status.backlog == 1 && box.compilations == 0)
    }

    @Test("a verdict on an earlier content is never written to a later one")
    func generations() throws {
        let box = try Box()
        let bookkeeping = box.bookkeeping(.own)
        box.take(try receiver(), bookkeeping)
        try box.compileAndPublish(bookkeeping)
        // The content changes, and before it is compiled comes an event that changes nothing more.
        #expect(!box.take(try receiver(generation: 2, version: 2), bookkeeping))
        #expect(box.take(try receiver(generation: 2, version: 3), bookkeeping))
        #expect(box.compilations == 1, "its version is not lost: all is published again")
        #expect(box.status.entry(of: try receiver().facts)?.facts.generation == 1)
        // The content changes while it is compiled: no verdict until the next compilation.
        try box.compileAndPublish(bookkeeping) {
            box.take(try receiver(generation: 3, version: 4), bookkeeping)
        }
        let entry = try #require(box.status.entry(of: try receiver().facts))
        #expect(entry.facts.generation == 3 && entry.verdict == nil)
        try box.compileAndPublish(bookkeeping)
        #expect(box.status.entry(of: try receiver().facts)?.verdict == .ready(path: "/hook/x"))
    }

    @Test("an object that was made anew under its name is another one, and without a generation nothing can be told")
    func unlike() throws {
        let box = try Box()
        let bookkeeping = box.bookkeeping(.own)
        box.take(try receiver(), bookkeeping)
        try box.compileAndPublish(bookkeeping)
        #expect(!box.status.refresh(try receiver(version: 2, uid: "other").facts))
        #expect(box.status.refresh(try receiver(version: 2).facts))
        box.take(try receiver(generation: 0), bookkeeping)
        try box.compileAndPublish(bookkeeping)
        #expect(!box.status.refresh(try receiver(generation: 0, version: 5).facts))
    }

    @Test("where another controller decides, its status is content and nothing else is; until that is known, all is")
    func owners() throws {
        let given = try Box()
        let bookkeeping = given.bookkeeping(.given)
        given.take(try receiver(), bookkeeping)
        try given.compileAndPublish(bookkeeping)
        given.take(try receiver(version: 2, status: #"{"x":1}"#), bookkeeping)
        #expect(given.compilations == 0)
        given.take(try receiver(version: 3, status: #"{"webhookPath":"/hook/y"}"#), bookkeeping)
        #expect(given.compilations == 1)
        #expect(given.status.backlog == 0)

        let unknown = try Box()
        let waiting = unknown.bookkeeping(.auto)
        unknown.take(try receiver(), waiting)
        unknown.take(try receiver(version: 2), waiting)
        #expect(unknown.compilations == 1)
        #expect(waiting.setOwner(.own) && !waiting.setOwner(.own))
    }
}
