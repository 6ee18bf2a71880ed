package org.iterqr.opensearch.search;

import java.util.function.Supplier;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;

/**
 * What of the node the channel's searches need.
 *
 * @param client searches with the caller's own thread context
 * @param threadPool of the node
 * @param registry parses query sources
 * @param localNodeId of this node, known once it has joined its cluster
 */
public record ChannelServices(
    Client client,
    ThreadPool threadPool,
    NamedXContentRegistry registry,
    Supplier<String> localNodeId) {}
