import Delivery
import Foundation
import Kubernetes
import Logging
import Synchronization
import Testing

@testable import Trigger

@Suite("Refreshes that were done a moment ago")
struct RefreshMemoryTests {
    private let stack = TargetReference(
        apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "", name: "base")
    private let image = "registry.example.com/stack/run:jammy"
    private let first = "sha256:" + String(repeating: "1", count: 64)
    private let other = "sha256:" + String(repeating: "2", count: 64)

    /// One action, several attempts: the digests that senders named, the seconds at which, and what the API server answers.
    private func run(
        _ attempts: [(digest: String?, seconds: UInt64)], windowSeconds: UInt32 = 600,
        _ status: @escaping @Sendable (Int) -> String = { _ in "200 OK" }
    ) async throws -> (results: [ActionResult], patches: Int) {
        let patches = Mutex(0)
        let server = RawServer { request, _ in
            if request.line.hasPrefix("PATCH") {
                let number = patches.withLock { count in
                    count += 1
                    return count
                }
                return .bytes(answer(status(number), "{}"))
            }
            let isList = request.line.split(separator: " ")[1] == "/apis"
            return .bytes(
                answer(
                    "200 OK",
                    isList
                        ? #"{"groups":[{"name":"kpack.io","versions":[{"version":"v1alpha2"}]}]}"#
                        : #"{"resources":[{"name":"clusterstacks","kind":"ClusterStack","namespaced":false}]}"#))
        }
        defer { server.stop() }
        let client = try KubernetesClient(
            Kubeconfig(server: server.url, token: .inline(SecretText("tok"))), settings: .patient,
            logger: Logger(label: "test"))
        let now = Mutex(epoch)
        let action = KpackRefreshAction(
            client: { _ in client }, windowSeconds: windowSeconds, clock: { now.withLock { $0 } })
        var results: [ActionResult] = []
        for attempt in attempts {
            now.withLock { $0 = epoch + attempt.seconds * second }
            var event = Event(kind: "push")
            event.images = [
                ImageEvent(image: "registry.example.com/stack/run", tag: "jammy", digest: attempt.digest)
            ]
            results.append(
                await action.run(
                    ActionAttempt(
                        sequence: 1, planIndex: 0, number: 1, route: hook("a"), receivedNanoseconds: epoch,
                        action: .kpackRefresh(stack, image: image, forceBuild: false),
                        payload: DeliveryPayload(
                            sender: .harbor, deliveryID: "", eventKind: "push", contentType: "application/json",
                            headers: [], body: []), event: event)))
        }
        await client.shutdown()
        return (results, patches.withLock { $0 })
    }

    private let skipped = ActionResult.ignored(reason: "up-to-date")

    @Test("the same image and digest within the window is left out, after it not")
    func window() async throws {
        let (results, patches) = try await run([(first, 0), (first, 1), (first, 599), (first, 600)])
        #expect(results == [.done, skipped, skipped, .done] && patches == 2, "\(results)")
    }

    @Test("another digest is news, and so is the first one when it comes back")
    func back() async throws {
        let (results, _) = try await run([(first, 0), (other, 1), (first, 2), (first, 3)])
        #expect(results == [.done, .done, .done, skipped])
    }

    @Test("a patch that failed stands in nobody's way")
    func failed() async throws {
        let (results, patches) = try await run([(first, 0), (first, 1), (first, 2)]) { number in
            number == 1 ? "503 Service Unavailable" : "200 OK"
        }
        guard case .failed = results[0] else {
            Issue.record("\(results)")
            return
        }
        #expect(results[1] == .done && results[2] == skipped && patches == 2)
    }

    @Test("without a digest every delivery is heard, and what was known before counts no more")
    func unknown() async throws {
        let (results, _) = try await run([(nil, 0), (nil, 1), (first, 2), (nil, 3), (first, 4)])
        #expect(results == [.done, .done, .done, .done, .done])
    }

    @Test("a window of 0 leaves nothing out")
    func off() async throws {
        let (results, _) = try await run([(first, 0), (first, 0)], windowSeconds: 0)
        #expect(results == [.done, .done])
    }

    @Test("the memory is bounded, and forgets the oldest first")
    func bounded() {
        let memory = RefreshMemory(windowNanoseconds: .max)
        func target(_ number: Int) -> TargetReference {
            TargetReference(apiVersion: "kpack.io/v1alpha2", kind: "Builder", namespace: "n", name: "b\(number)")
        }
        let count = 3 * RefreshMemory.entriesMax
        for number in 0..<count {
            memory.note(target(number), image, forcesBuild: false, first, now: UInt64(number))
            #expect(memory.count <= RefreshMemory.entriesMax + 1)
        }
        let now = UInt64(count)
        #expect(memory.holds(target(count - 1), image, forcesBuild: false, first, now: now))
        #expect(!memory.holds(target(0), image, forcesBuild: false, first, now: now))
        // One object that is patched for ever does not grow it either.
        for number in 0..<count {
            memory.note(target(count - 1), image, forcesBuild: false, first, now: now + UInt64(number))
        }
        #expect(memory.count <= RefreshMemory.entriesMax)
        #expect(memory.holds(target(count - 1), image, forcesBuild: false, first, now: now + UInt64(count)))
    }

    @Test("another image, another object and a Build that is to be repeated are things of their own")
    func keys() {
        let memory = RefreshMemory(windowNanoseconds: 100)
        memory.note(stack, image, forcesBuild: false, first, now: 10)
        #expect(memory.holds(stack, image, forcesBuild: false, first, now: 10))
        #expect(!memory.holds(stack, image + "x", forcesBuild: false, first, now: 10))
        #expect(!memory.holds(stack, image, forcesBuild: true, first, now: 10))
        #expect(!memory.holds(stack, image, forcesBuild: false, first, now: 9))
        #expect(!memory.holds(stack, image, forcesBuild: false, first, now: 110))
    }
}
