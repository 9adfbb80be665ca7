// The watching half: watches follow each other from version to version until a list is needed.

import Foundation
import Logging

/// How one watch ended.
private enum WatchEnd: Sendable {
    /// By the server, or by a cancelled task.
    case ended
    /// It said nothing for too long.
    case silent
    /// It could not be opened.
    case refused(KubernetesError)
    /// The connection broke.
    case cut(KubernetesError)
    /// The server sent an ERROR event.
    case failed(KubernetesStatus)
    /// A line that cannot be decoded, or that is too long.
    case garbage(KubernetesError)
}

extension ReflectorRun {
    /// Watches from `version` on. Returns when the collection must be listed again at once; throws when it must be listed again
    /// after a wait; goes on otherwise.
    mutating func watch(_ resource: APIResource, from version: String) async throws(KubernetesError) {
        var version = version
        while !Task.isCancelled {
            let progress = WatchProgress(resourceVersion: version)
            let started = ContinuousClock.now
            let end = await watchOnce(resource, progress)
            if Task.isCancelled { return }
            version = progress.resourceVersion
            var isFruitful = progress.events > 0 || ContinuousClock.now - started >= settings.shortWatch
            if case .refused = end { isFruitful = false }
            if isFruitful {
                fruitlessWatches = 0
                backoff.reset()
            }
            switch end {
            case .ended: if !isFruitful { await sleep(backoff.next()) }
            case .silent:
                reflector.logger.debug("watch is silent and taken for dead", metadata: ["kind": "\(reflector.kind)"])
            case .cut(let error):
                // A server that restarts breaks a watch; one that breaks each is in trouble, and a list says more.
                if !isFruitful { fruitlessWatches += 1 }
                if fruitlessWatches >= Self.fruitlessWatchesMax { throw error }
                await sleep(backoff.next())
            case .refused(let error):
                if try await mustList(resource, after: error) { return }
            case .failed(let status):
                let error = error(of: status, resource)
                guard error.statusCode == 410 else { throw error }
                await expired(error)
                return
            case .garbage(let error):
                await wait(afterGarbage: error)
                return
            }
        }
    }

    /// One watch; what it gives is handed over as it comes.
    private mutating func watchOnce(_ resource: APIResource, _ progress: WatchProgress) async -> WatchEnd {
        let seconds = Int.random(in: settings.watchSeconds)
        let limit = Duration.seconds(seconds) + settings.silenceMargin
        let lines: WatchLines
        do throws(KubernetesError) {
            lines = try await reflector.client.watch(
                resource, namespace: reflector.scope.namespace,
                query: WatchQuery(
                    labelSelector: reflector.scope.labelSelector, fieldSelector: reflector.scope.fieldSelector,
                    resourceVersion: progress.resourceVersion, timeoutSeconds: seconds,
                    isMetadataOnly: reflector.scope.isMetadataOnly))
        } catch { return .refused(error) }
        await recovered()
        let reflector = reflector
        return await withTaskGroup(of: WatchEnd.self) { group in
            group.addTask { await Self.read(lines, resource, progress, reflector) }
            group.addTask {
                do { try await progress.waitForSilence(limit) } catch { return .ended }
                lines.retireConnection()
                return .silent
            }
            defer { group.cancelAll() }
            return await group.next() ?? .ended
        }
    }

    private static func read(
        _ lines: WatchLines, _ resource: APIResource, _ progress: WatchProgress, _ reflector: Reflector<Decoder>
    ) async -> WatchEnd {
        var iterator = lines.makeAsyncIterator()
        while true {
            progress.beginWaiting()
            let line: Data?
            do throws(KubernetesError) { line = try await iterator.next() } catch {
                if case .unreadableAnswer = error.cause { return .garbage(error) }
                return .cut(error)
            }
            progress.endWaiting()
            guard let line, !Task.isCancelled else { return .ended }
            let event: WatchEvent<Decoder.Object>
            do { event = try reflector.decoder.event(line, of: resource) } catch {
                let call = KubernetesClient.call("watch", resource, reflector.scope.namespace, nil)
                return .garbage(
                    KubernetesError(
                        call: call, cause: .unreadableAnswer("an event of \(line.count) bytes that cannot be decoded")))
            }
            switch event {
            case .failed(let status): return .failed(status)
            case .bookmark(let version): progress.passed(version)
            case .applied(let object, let version):
                if version != progress.resourceVersion || version.isEmpty { await reflector.handle(.applied(object)) }
                progress.passed(version)
            case .deleted(let object, let version):
                if version != progress.resourceVersion || version.isEmpty { await reflector.handle(.deleted(object)) }
                progress.passed(version)
            }
        }
    }

    // MARK: - What follows

    /// After so many watches in a row that broke without an event the collection is listed again.
    private static var fruitlessWatchesMax: Int { 3 }

    private mutating func wait(afterGarbage error: KubernetesError) async {
        let now = ContinuousClock.now
        if let garbageAt, now - garbageAt > settings.backoffMax * 4 { garbageBackoff.reset() }
        if garbageBackoff.isFresh {
            reflector.logger.warning(
                "watch event cannot be decoded; listing again",
                metadata: ["kind": "\(reflector.kind)", "group": "\(reflector.group)", "error": "\(error)"])
        }
        garbageAt = now
        await failing(error)
        await sleep(garbageBackoff.next())
    }

    /// A version that is too old asks for a list at once; the next one in a row for a wait before.
    private mutating func expired(_ error: KubernetesError) async {
        fruitlessWatches += 1
        if fruitlessWatches > 1 { await sleep(backoff.next(retryAfterNanoseconds: error.retryAfterNanoseconds)) }
    }

    /// After a watch that could not be opened. True: list at once. False, after a wait: watch again from where it was.
    /// Throws: list after a wait.
    private mutating func mustList(
        _ resource: APIResource, after error: KubernetesError
    ) async throws(KubernetesError) -> Bool {
        switch error.statusCode {
        case 410?:
            await expired(error)
            return true
        case 404?: throw await vanished(resource, error)
        case nil, 401?, 403?, 429?, 502?, 503?:
            await pause(after: error)
            return false
        // Among them: a version that the server does not have, as after a restore of its store (504, "Too large").
        default: throw error
        }
    }

    /// An ERROR event as the error that it would have been as an answer.
    private func error(of status: KubernetesStatus, _ resource: APIResource) -> KubernetesError {
        let isExpired = ["Expired", "Gone"].contains(status.reason)
        return KubernetesError(
            call: KubernetesClient.call("watch", resource, reflector.scope.namespace, nil),
            cause: .status(isExpired ? 410 : status.code ?? 500), status: status,
            retryAfterNanoseconds: status.detailsRetryAfterSeconds.flatMap { RetryAfter.nanoseconds(String($0)) })
    }
}
