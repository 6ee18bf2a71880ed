/** What the channel adds to requests and responses: ext sections and hit tags. */
package org.iterqr.opensearch.response;
